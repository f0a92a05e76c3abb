using System;

namespace Blanket.Drivers.Xen.Console;

/// <summary>One of the ports that share the domain's console (docs/platform.md, "Consoles on one line").</summary>
/// <param name="console">The line.</param>
/// <param name="number">Its number on the line.</param>
/// <param name="capacity">Bytes that wait for the line.</param>
public sealed class XenConsolePort(XenConsole console, uint number, int capacity) : ConsolePort
{
    // Indexes run freely; the line's lock covers them.
    private readonly byte[] _output = new byte[capacity];
    private uint _start;
    private uint _end;

    /// <summary>Its number on the line.</summary>
    public uint Number => number;

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Name => default;

    /// <summary>Bytes that wait.</summary>
    internal int Waiting => (int)unchecked(_end - _start);

    /// <summary>Whether bytes were refused since the client was last told of room.</summary>
    internal bool HasRefused { get; set; }

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

    /// <summary>Takes the oldest waiting byte; there is one.</summary>
    internal byte Take()
    {
        byte value = _output[_start % (uint)_output.Length];
        _start = unchecked(_start + 1);
        return value;
    }
}
