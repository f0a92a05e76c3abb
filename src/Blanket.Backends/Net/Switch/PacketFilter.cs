using System;

namespace Blanket.Backends;

/// <summary>Says which packets a port may send: protection against forged addresses.</summary>
public abstract class PacketFilter
{
    /// <summary>Whether a packet may enter the switch.</summary>
    /// <param name="header">Its beginning, a private copy of at most 256 bytes, from the Ethernet header on.</param>
    public abstract bool Allows(ReadOnlySpan<byte> header);
}
