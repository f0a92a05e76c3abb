using System;

namespace Blanket.Lab.StockXen;

/// <summary>Takes the line of <see cref="ConsoleLine"/> apart, in pieces of any size.</summary>
/// <param name="firstPort">The port of what comes before the first sequence.</param>
public sealed class ConsoleSplitter(uint firstPort)
{
    private uint? _port = firstPort;
    private uint _number;
    private int? _digits;

    /// <summary>Takes a piece of the line.</summary>
    /// <param name="bytes">The piece.</param>
    /// <param name="deliver">Called with each run of bytes for one port.</param>
    public void Add(ReadOnlyMemory<byte> bytes, Action<uint, ReadOnlyMemory<byte>> deliver)
    {
        int start = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            byte value = bytes.Span[i];
            if (value == ConsoleLine.Start)
            {
                Deliver(bytes[start..i], deliver);
                BeginNumber();
            }
            else if (_digits is not null)
            {
                TakeNumber(value);
            }
            else
            {
                continue;
            }

            start = i + 1;
        }

        Deliver(bytes[start..], deliver);
    }

    private void Deliver(ReadOnlyMemory<byte> run, Action<uint, ReadOnlyMemory<byte>> deliver)
    {
        if (_port is uint port && run.Length > 0)
        {
            deliver(port, run);
        }
    }

    private void BeginNumber()
    {
        _port = null;
        _number = 0;
        _digits = 0;
    }

    /// <summary>A digit, the end, or something wrong: then everything up to the next sequence belongs to no port.</summary>
    private void TakeNumber(byte value)
    {
        if (value is >= (byte)'0' and <= (byte)'9' && _digits < ConsoleLine.MaximumDigits)
        {
            _number = (_number * 10) + value - '0';
            _digits++;
            return;
        }

        _port = value == ConsoleLine.End && _digits > 0 ? _number : null;
        _digits = null;
    }
}
