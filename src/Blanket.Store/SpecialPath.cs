using System;

namespace Blanket.Store;

/// <summary>The special watch paths of xenstore.txt.</summary>
internal enum SpecialPath
{
    /// <summary>@introduceDomain: a domain was introduced.</summary>
    IntroduceDomain,

    /// <summary>@releaseDomain: a domain was shut down, released or destroyed.</summary>
    ReleaseDomain,
}

/// <summary>Names and permissions of the special watch paths.</summary>
internal sealed class SpecialPaths
{
    private readonly PermissionTable _permissions;
    private int _introduce;
    private int _release;

    /// <summary>Special paths that only privileged domains may watch.</summary>
    internal SpecialPaths(PermissionTable permissions, int introducePermissions, int releasePermissions)
    {
        _permissions = permissions;
        _introduce = introducePermissions;
        _release = releasePermissions;
    }

    /// <summary>Name of a special path.</summary>
    internal static ReadOnlySpan<byte> NameOf(SpecialPath path) =>
        path == SpecialPath.IntroduceDomain ? "@introduceDomain"u8 : "@releaseDomain"u8;

    /// <summary>Finds a special path by name.</summary>
    internal static bool TryParse(ReadOnlySpan<byte> name, out SpecialPath path)
    {
        path = SpecialPath.IntroduceDomain;
        if (name.SequenceEqual(NameOf(SpecialPath.IntroduceDomain)))
        {
            return true;
        }

        path = SpecialPath.ReleaseDomain;
        return name.SequenceEqual(NameOf(SpecialPath.ReleaseDomain));
    }

    /// <summary>A special path's permissions.</summary>
    internal int PermissionsOf(SpecialPath path) => path == SpecialPath.IntroduceDomain ? _introduce : _release;

    /// <summary>Replaces a special path's permissions; the caller's share passes.</summary>
    internal void SetPermissions(SpecialPath path, int permissions)
    {
        _permissions.Release(PermissionsOf(path));
        if (path == SpecialPath.IntroduceDomain)
        {
            _introduce = permissions;
        }
        else
        {
            _release = permissions;
        }
    }
}
