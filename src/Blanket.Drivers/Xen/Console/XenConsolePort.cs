using System;

namespace Blanket.Drivers.Xen.Console;

/// <summary>
/// One of the ports that share the domain's console (docs/platform.md, "Consoles on one line"). The line cannot be held back for one of them: of what
/// is typed while nobody takes it, the first <see cref="InputCapacity"/> bytes wait, and the rest is dropped.
/// </summary>
/// <param name="console">The line.</param>
/// <param name="capacity">Bytes that wait for the line.</param>
public sealed class XenConsolePort(XenConsole console, int capacity) : ConsolePort
{
    /// <summary>Bytes that a port for a guest takes of an arena at most.</summary>
    public const int ObjectSize = XenConsole.GuestCapacity + InputCapacity + 384;

    /// <summary>Bytes of input that wait.</summary>
    internal const int InputCapacity = InputPiece;

    // Under the line's lock. Indexes run freely.
    private readonly byte[] _output = new byte[capacity];
    private readonly ByteQueue _input = new(InputCapacity);
    private uint _start;
    private uint _end;

    /// <summary>Its number on the line; 0 before it has one.</summary>
    internal uint Number { get; private set; }

    /// <summary>Whether somebody uses it under its number.</summary>
    internal bool IsTaken { get; set; }

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Name => default;

    /// <summary>Bytes that wait.</summary>
    internal int Waiting => (int)unchecked(_end - _start);

    /// <summary>Whether bytes were refused since the client was last told of room.</summary>
    internal bool HasRefused { get; set; }

    /// <summary>
    /// Gives the port to somebody who has a number on the line. What is still to be sent of the one before, who had another, is dropped, as is what was
    /// typed for that one: nobody shows up under a foreign number, or reads what others are told.
    /// </summary>
    /// <param name="number">1 to 99999.</param>
    /// <returns>False when it is none of these, or another port has it; nothing has changed then.</returns>
    public bool TryTake(uint number) => console.TryTake(this, number);

    /// <summary>Leaves port and number to others; what was said last is still sent, and what was typed last is nobody's.</summary>
    public void Leave()
    {
        IsTaken = false;
        DropInput();
    }

    /// <inheritdoc/>
    public override int Send(ReadOnlySpan<byte> bytes) => console.Send(this, bytes);

    /// <summary>Takes what there is room for; what would be a part of a sequence is replaced.</summary>
    internal int Queue(ReadOnlySpan<byte> bytes)
    {
        int count = Math.Min(bytes.Length, _output.Length - Waiting);
        for (int i = 0; i < count; i++)
        {
            byte value = bytes[i];
            _output[_end % (uint)_output.Length] = value is XenConsole.SequenceStart or XenConsole.SequenceEnd ? (byte)'?' : value;
            _end = unchecked(_end + 1);
        }

        HasRefused |= count < bytes.Length;
        return count;
    }

    /// <summary>Changes the number; nothing is left of what waited under the last one.</summary>
    internal void Renumber(uint number)
    {
        Number = number;
        _input.Remove(_input.Count);
        _start = _end;
        HasRefused = false;
    }

    /// <summary>Takes what was typed on the port.</summary>
    internal void Type(ReadOnlySpan<byte> bytes)
    {
        int kept;
        do
        {
            kept = console.Keep(this, bytes);
            bytes = bytes.Slice(kept);
            ReadOn();
        }
        while (kept != 0 && !bytes.IsEmpty);
    }

    /// <summary>Keeps input, as much as there is room for.</summary>
    internal int KeepTyped(ReadOnlySpan<byte> bytes) => _input.Append(bytes);

    /// <summary>Takes the oldest input that waits, as far as it lies in one piece.</summary>
    internal int TakeTyped(Span<byte> piece)
    {
        ReadOnlySpan<byte> oldest = _input.Oldest;
        oldest.CopyTo(piece);
        _input.Remove(oldest.Length);
        return oldest.Length;
    }

    /// <inheritdoc/>
    protected override void PassInputOn()
    {
        Span<byte> piece = stackalloc byte[InputPiece];
        int count = 1;
        while (count != 0 && MayPassOn)
        {
            count = console.TakeTyped(this, piece);
            PassOn(piece.Slice(0, count));
        }
    }

    /// <summary>Takes the oldest waiting byte; there is one.</summary>
    internal byte Take()
    {
        byte value = _output[_start % (uint)_output.Length];
        _start = unchecked(_start + 1);
        return value;
    }
}
