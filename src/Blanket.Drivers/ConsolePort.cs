using System;

namespace Blanket.Drivers;

/// <summary>Who reads a console port. Called with the port's locks not held.</summary>
public abstract class ConsoleClient
{
    /// <summary>Bytes typed on the other side.</summary>
    public abstract void Received(ReadOnlySpan<byte> bytes);

    /// <summary>The port accepts more bytes than at the last refusal.</summary>
    public abstract void RoomAvailable();
}

/// <summary>One named byte stream to L0's outside: a virtio-console port, a serial port, Xen's PV console.</summary>
public abstract class ConsolePort
{
    /// <summary>The one reader.</summary>
    public ConsoleClient? Client;

    /// <summary>Port name given by L0; empty for the unnamed main console, and until L0 has told it.</summary>
    public abstract ReadOnlySpan<byte> Name { get; }

    /// <summary>
    /// Copies and sends as many bytes as there is room for. May be called with any lock held, the log's included
    /// (<see cref="Blanket.Machine.LockClass.ConsoleOutput"/>).
    /// </summary>
    /// <returns>Bytes taken; the rest is for after <see cref="ConsoleClient.RoomAvailable"/>.</returns>
    public abstract int Send(ReadOnlySpan<byte> bytes);
}
