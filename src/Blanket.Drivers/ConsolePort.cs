using System;
using System.Threading;
using Blanket.Machine;

namespace Blanket.Drivers;

/// <summary>
/// One named byte stream to L0's outside: a virtio-console port, a serial port, Xen's PV console. What is typed while nobody reads it, or whoever does
/// takes no more, waits.
/// </summary>
public abstract class ConsolePort
{
    /// <summary>The most bytes that a client gets at once.</summary>
    public const int InputPiece = 256;

    private ConsoleClient? _client;
    private bool _dropsInput;

    // One CPU at a time passes input on, so that the bytes keep their order.
    private SoleWorker _reading;

    /// <summary>The one reader, which also gets what waits.</summary>
    public ConsoleClient? Client
    {
        get => Volatile.Read(ref _client);
        set
        {
            Volatile.Write(ref _client, value);
            ReadOn();
        }
    }

    /// <summary>Port name given by L0; empty for the unnamed main console, and until L0 has told it.</summary>
    public abstract ReadOnlySpan<byte> Name { get; }

    /// <summary>
    /// Copies and sends as many bytes as there is room for. May be called with any lock held, the log's included
    /// (<see cref="LockClass.ConsoleOutput"/>).
    /// </summary>
    /// <returns>Bytes taken; the rest is for after <see cref="ConsoleClient.RoomAvailable"/>.</returns>
    public abstract int Send(ReadOnlySpan<byte> bytes);

    /// <summary>Passes on what waits, as far as the client takes it; for a client that takes input again. Called with no lock held.</summary>
    public void ReadOn()
    {
        if (!_reading.TryBegin())
        {
            return;
        }

        int seen;
        do
        {
            seen = _reading.Seen;
            PassInputOn();
        }
        while (!_reading.TryEnd(seen));
    }

    /// <summary>Has what is typed from here on wait for a client, as it does from the beginning.</summary>
    public void KeepInput() => Volatile.Write(ref _dropsInput, false);

    /// <summary>
    /// Drops what waits for a client, and what is typed until <see cref="KeepInput"/> while there is none: whoever it was for is gone. Called with no lock held.
    /// </summary>
    public void DropInput()
    {
        Volatile.Write(ref _dropsInput, true);
        ReadOn();
    }

    /// <summary>Whether there is no client and what is typed is for nobody.</summary>
    protected bool IsDropping => Client == null && Volatile.Read(ref _dropsInput);

    /// <summary>Whether input is to leave the port now: to the client, or to nobody.</summary>
    protected bool MayPassOn
    {
        get
        {
            ConsoleClient? client = Client;
            return client != null ? client.TakesInput : IsDropping;
        }
    }

    /// <summary>Passes on what has come in, by <see cref="PassOn"/>, while <see cref="MayPassOn"/>. On one CPU at a time.</summary>
    protected abstract void PassInputOn();

    /// <summary>Gives bytes to the client, if there is one.</summary>
    protected void PassOn(ReadOnlySpan<byte> bytes)
    {
        if (!bytes.IsEmpty)
        {
            Client?.Received(bytes);
        }
    }
}
