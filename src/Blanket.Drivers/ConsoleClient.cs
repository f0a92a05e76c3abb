using System;

namespace Blanket.Drivers;

/// <summary>Who reads a console port. Called with the port's locks not held.</summary>
public abstract class ConsoleClient
{
    /// <summary>
    /// Whether it takes <see cref="ConsolePort.InputPiece"/> bytes more. What is typed while it does not waits, until <see cref="ConsolePort.ReadOn"/> is called.
    /// </summary>
    public virtual bool TakesInput => true;

    /// <summary>Bytes typed on the other side, at most <see cref="ConsolePort.InputPiece"/>.</summary>
    public abstract void Received(ReadOnlySpan<byte> bytes);

    /// <summary>The port accepts more bytes than at the last refusal.</summary>
    public abstract void RoomAvailable();
}
