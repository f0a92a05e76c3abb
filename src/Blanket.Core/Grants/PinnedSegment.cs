using System.Runtime.InteropServices;

namespace Blanket.Core.Grants;

/// <summary>A part of a granted page that a request of a service uses (<see cref="GrantPin.TryPinAll"/>); 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct PinnedSegment
{
    /// <summary>The frame, once it is pinned.</summary>
    public ulong Frame;

    /// <summary>The guest's grant reference.</summary>
    public uint Reference;

    /// <summary>First byte in the page, at most 4,096.</summary>
    public ushort Offset;

    /// <summary>Bytes, possibly none; the page has as many behind <see cref="Offset"/>.</summary>
    public ushort Length;
}
