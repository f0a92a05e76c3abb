using System;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>
/// A checked absolute path with the hashes of all its ancestors: scratch space that is filled again for each request.
/// Level 0 is the root; level <see cref="Depth"/> is the path itself.
/// </summary>
internal sealed class StorePath
{
    /// <summary>Bytes of the longest path: the longest relative one behind /local/domain/65535/.</summary>
    internal const int Capacity = XenStoreWire.RelativePathMax + 20;

    private readonly PathHash _hash;
    private readonly byte[] _bytes = new byte[Capacity];
    private readonly ushort[] _ends = new ushort[(Capacity / 2) + 1];
    private readonly ulong[] _hashes = new ulong[(Capacity / 2) + 1];

    /// <summary>The root path.</summary>
    internal StorePath(PathHash hash)
    {
        _hash = hash;
        _hashes[0] = hash.Root;
    }

    /// <summary>Number of components.</summary>
    internal int Depth { get; private set; }

    /// <summary>The path itself.</summary>
    internal ReadOnlySpan<byte> Text => At(Depth);

    /// <summary>The ancestor at a level, 0..<see cref="Depth"/>.</summary>
    internal ReadOnlySpan<byte> At(int level) =>
        level == 0 ? "/"u8 : new ReadOnlySpan<byte>(_bytes, 0, _ends[level]);

    /// <summary>Hash of the ancestor at a level.</summary>
    internal ulong HashAt(int level) => _hashes[level];

    /// <summary>Last component of the ancestor at a level, 1..<see cref="Depth"/>.</summary>
    internal ReadOnlySpan<byte> NameAt(int level)
    {
        int start = _ends[level - 1] + 1;
        return new ReadOnlySpan<byte>(_bytes, start, _ends[level] - start);
    }

    /// <summary>
    /// Takes a path from a client: absolute, or relative to /local/domain/<paramref name="domid"/>/.
    /// False when it breaks the rules of docs/misc/xenstore.txt: characters A-Z a-z 0-9 - / _ @ only, no empty component,
    /// at most <paramref name="maximumLength"/> bytes, a leading /local/domain/N/ not counted.
    /// </summary>
    internal bool TryAssign(ReadOnlySpan<byte> text, ushort domid, int maximumLength)
    {
        Depth = 0;
        if (text.IsEmpty || text[0] == (byte)'@')
        {
            return false;
        }

        if (text[0] != (byte)'/')
        {
            AssignHome(domid);
        }
        else if (text.Length == 1)
        {
            return true;
        }
        else
        {
            text = text[1..];
        }

        return TryPushAll(text) && _ends[Depth] <= maximumLength + HomeLength();
    }

    /// <summary>Becomes the root path.</summary>
    internal void Clear() => Depth = 0;

    /// <summary>Takes a path that was checked when it was stored.</summary>
    internal void Assign(ByteChains chains, Chain path)
    {
        Depth = 0;
        int length = chains.Read(path, 0, _bytes);
        int start = 1;
        while (start < length)
        {
            int slash = new ReadOnlySpan<byte>(_bytes, start, length - start).IndexOf((byte)'/');
            int end = slash < 0 ? length : start + slash;
            Depth++;
            _ends[Depth] = (ushort)end;
            _hashes[Depth] = _hash.Extend(_hashes[Depth - 1], NameAt(Depth));
            start = end + 1;
        }
    }

    /// <summary>Goes down to a child; false when the path would be too long.</summary>
    internal bool TryPush(ReadOnlySpan<byte> name)
    {
        int start = _ends[Depth];
        if (name.Length >= _bytes.Length - start)
        {
            return false;
        }

        _bytes[start] = (byte)'/';
        name.CopyTo(new Span<byte>(_bytes, start + 1, name.Length));
        Depth++;
        _ends[Depth] = (ushort)(start + 1 + name.Length);
        _hashes[Depth] = _hash.Extend(_hashes[Depth - 1], name);
        return true;
    }

    /// <summary>Goes up to the parent; not from the root.</summary>
    internal void Pop() => Depth--;

    private static bool IsNameByte(byte value) =>
        (value >= (byte)'a' && value <= (byte)'z') || (value >= (byte)'A' && value <= (byte)'Z')
        || (value >= (byte)'0' && value <= (byte)'9')
        || value == (byte)'-' || value == (byte)'_' || value == (byte)'@';

    private static bool IsName(ReadOnlySpan<byte> name)
    {
        for (int i = 0; i < name.Length; i++)
        {
            if (!IsNameByte(name[i]))
            {
                return false;
            }
        }

        return !name.IsEmpty;
    }

    private static bool IsDomid(ReadOnlySpan<byte> name)
    {
        for (int i = 0; i < name.Length; i++)
        {
            if (name[i] < (byte)'0' || name[i] > (byte)'9')
            {
                return false;
            }
        }

        return name.Length <= 5;
    }

    private void AssignHome(ushort domid)
    {
        PathBuilder number = new(stackalloc byte[PathBuilder.DecimalMax]);
        number.AppendDecimal(domid);
        TryPush("local"u8);
        TryPush("domain"u8);
        TryPush(number.Text);
    }

    private bool TryPushAll(ReadOnlySpan<byte> names)
    {
        while (true)
        {
            int slash = names.IndexOf((byte)'/');
            ReadOnlySpan<byte> name = slash < 0 ? names : names[..slash];
            if (!IsName(name) || !TryPush(name))
            {
                return false;
            }

            if (slash < 0)
            {
                return true;
            }

            names = names[(slash + 1)..];
        }
    }

    /// <summary>Bytes of a leading /local/domain/N/, 0 when there is none.</summary>
    private int HomeLength() =>
        Depth > 3 && NameAt(1).SequenceEqual("local"u8) && NameAt(2).SequenceEqual("domain"u8) && IsDomid(NameAt(3))
            ? _ends[3] + 1
            : 0;
}
