using System;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;
using Blanket.Store;

namespace Blanket.Backends;

/// <summary>A directory of xenstore in which a half of a device keeps its nodes.</summary>
internal sealed class NodeDirectory
{
    /// <summary>Bytes of the longest path that a device uses.</summary>
    internal const int MaximumPath = 128;

    /// <summary>Bytes of the longest value that a device reads.</summary>
    internal const int MaximumValue = 64;

    private readonly BackendStore _store;
    private readonly byte[] _path = new byte[MaximumPath];
    private readonly int _length;

    /// <summary>The directory at a path.</summary>
    internal NodeDirectory(BackendStore store, ReadOnlySpan<byte> path)
    {
        _store = store;
        path.CopyTo(_path);
        _length = path.Length;
    }

    /// <summary>Its path.</summary>
    internal ReadOnlySpan<byte> Path => new(_path, 0, _length);

    /// <summary>Fills in the path of a node in the directory.</summary>
    internal void Append(ref PathBuilder path, ReadOnlySpan<byte> name)
    {
        path.Append(Path);
        path.AppendName(name);
    }

    /// <summary>Makes the directory anew, empty, with an owner and one reader; nodes made in it have the same permissions.</summary>
    internal XenStoreError Create(ushort owner, ushort reader)
    {
        XenStoreError error = _store.Remove(Path);
        if (error != XenStoreError.None && error != XenStoreError.NotFound)
        {
            return error;
        }

        error = _store.MakeDirectory(Path);
        if (error != XenStoreError.None)
        {
            return error;
        }

        ReadOnlySpan<StorePermission> permissions =
            stackalloc StorePermission[] { new(owner, StoreAccess.None), new(reader, StoreAccess.Read) };
        return _store.SetPermissions(Path, permissions);
    }

    /// <summary>Gives a node an owner and one reader of its own.</summary>
    internal XenStoreError SetPermissions(ReadOnlySpan<byte> name, ushort owner, ushort reader)
    {
        PathBuilder path = new(stackalloc byte[MaximumPath]);
        Append(ref path, name);
        ReadOnlySpan<StorePermission> permissions =
            stackalloc StorePermission[] { new(owner, StoreAccess.None), new(reader, StoreAccess.Read) };
        return _store.SetPermissions(path.Text, permissions);
    }

    /// <summary>Removes the directory and all in it.</summary>
    internal void Remove() => _store.Remove(Path);

    /// <summary>Removes a node.</summary>
    internal void Remove(ReadOnlySpan<byte> name)
    {
        PathBuilder path = new(stackalloc byte[MaximumPath]);
        Append(ref path, name);
        _store.Remove(path.Text);
    }

    /// <summary>Writes a node.</summary>
    internal XenStoreError Write(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        PathBuilder path = new(stackalloc byte[MaximumPath]);
        Append(ref path, name);
        return _store.Write(path.Text, value);
    }

    /// <summary>Writes a number in decimal.</summary>
    internal XenStoreError Write(ReadOnlySpan<byte> name, ulong value)
    {
        PathBuilder text = new(stackalloc byte[PathBuilder.DecimalMax]);
        text.AppendDecimal(value);
        return Write(name, text.Text);
    }

    /// <summary>Writes 1 or 0.</summary>
    internal XenStoreError Write(ReadOnlySpan<byte> name, bool value) => Write(name, value ? "1"u8 : "0"u8);

    /// <summary>Reads a node of at most <see cref="MaximumValue"/> bytes; false when it is missing or longer.</summary>
    internal bool TryRead(ReadOnlySpan<byte> name, Span<byte> value, out int length)
    {
        PathBuilder path = new(stackalloc byte[MaximumPath]);
        Append(ref path, name);
        return _store.Read(path.Text, value, out length) == XenStoreError.None;
    }

    /// <summary>Reads a decimal number; false when the node is missing, something else or above <paramref name="maximum"/>.</summary>
    internal bool TryRead(ReadOnlySpan<byte> name, ulong maximum, out ulong number)
    {
        number = 0;
        Span<byte> value = stackalloc byte[MaximumValue];
        return TryRead(name, value, out int length) && DecimalNumber.TryParse(value.Slice(0, length), maximum, out number);
    }

    /// <summary>Reads a decimal number that fits 32 bits.</summary>
    internal bool TryRead(ReadOnlySpan<byte> name, out uint number)
    {
        bool found = TryRead(name, uint.MaxValue, out ulong wide);
        number = (uint)wide;
        return found;
    }

    /// <summary>Reads a feature: true when the node is there and is a number other than 0.</summary>
    internal bool ReadFlag(ReadOnlySpan<byte> name) => TryRead(name, out uint value) && value != 0;

    /// <summary>Reads the node "state"; Unknown when it is missing or not a state.</summary>
    internal XenbusState ReadState() =>
        TryRead("state"u8, (ulong)XenbusState.Reconfigured, out ulong state) ? (XenbusState)state : XenbusState.Unknown;
}
