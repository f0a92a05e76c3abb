using System;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>Nodes that a frontend wants written into its directory, in one transaction.</summary>
public sealed class FrontendNodes
{
    private const int Size = 4096;

    private readonly byte[] _text = new byte[Size];
    private int _length;

    /// <summary>Whether something did not fit: the nodes are not written then.</summary>
    internal bool Overflowed { get; private set; }

    internal void Clear()
    {
        _length = 0;
        Overflowed = false;
    }

    /// <summary>Adds a node; its name may lead to one below, as <c>queue-0/ring-ref</c>.</summary>
    public void Add(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        if (name.Length + value.Length + 2 > Size - _length)
        {
            Overflowed = true;
            return;
        }

        Append(name);
        Append(value);
    }

    /// <summary>Adds a node with a decimal number.</summary>
    public void Add(ReadOnlySpan<byte> name, ulong value)
    {
        PathBuilder text = new(stackalloc byte[PathBuilder.DecimalMax]);
        text.AppendDecimal(value);
        Add(name, text.Text);
    }

    /// <summary>The node at a place, and the place of the next; false when there is no more.</summary>
    internal bool TryGet(ref int place, out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        name = default;
        value = default;
        if (place >= _length)
        {
            return false;
        }

        name = Take(ref place);
        value = Take(ref place);
        return true;
    }

    private void Append(ReadOnlySpan<byte> text)
    {
        text.CopyTo(new Span<byte>(_text, _length, text.Length));
        _length += text.Length;
        _text[_length++] = 0;
    }

    private ReadOnlySpan<byte> Take(ref int place)
    {
        ReadOnlySpan<byte> rest = new(_text, place, _length - place);
        ReadOnlySpan<byte> text = rest.Slice(0, rest.IndexOf((byte)0));
        place += text.Length + 1;
        return text;
    }
}
