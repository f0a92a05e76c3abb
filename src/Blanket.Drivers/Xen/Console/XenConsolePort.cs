using System;

namespace Blanket.Drivers.Xen.Console;

/// <summary>One of the ports that share the domain's console (docs/platform.md, "Consoles on one line").</summary>
/// <param name="console">The line.</param>
/// <param name="capacity">Bytes that wait for the line.</param>
public sealed class XenConsolePort(XenConsole console, int capacity) : ConsolePort
{
    /// <summary>Bytes that a port for a guest takes of an arena at most.</summary>
    public const int ObjectSize = XenConsole.GuestCapacity + 256;

    // Indexes run freely; the line's lock covers them.
    private readonly byte[] _output = new byte[capacity];
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
    /// Gives the port to somebody who has a number on the line. What is still to be sent of the one before, who had another, is dropped: nobody shows
    /// up under a foreign number.
    /// </summary>
    /// <param name="number">1 to 99999.</param>
    /// <returns>False when it is none of these, or another port has it; nothing has changed then.</returns>
    public bool TryTake(uint number) => console.TryTake(this, number);

    /// <summary>Leaves port and number to others; what was said last is still sent.</summary>
    public void Leave() => IsTaken = false;

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
        _start = _end;
        HasRefused = false;
    }

    /// <summary>Takes the oldest waiting byte; there is one.</summary>
    internal byte Take()
    {
        byte value = _output[_start % (uint)_output.Length];
        _start = unchecked(_start + 1);
        return value;
    }
}
