using System;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>Copies a packet's bytes from its beginning on.</summary>
internal ref struct PacketReader(Packet packet)
{
    private readonly Packet _packet = packet;
    private ReadOnlySpan<byte> _piece = packet.Header;
    private int _next;

    /// <summary>Copies the bytes that come next; there must be as many.</summary>
    internal void Read(Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            if (_piece.IsEmpty)
            {
                DmaSegment segment = _packet.Fragments[_next++];
                _piece = PhysicalMemory.Bytes(segment.Address, (int)segment.Length);
            }

            int count = Math.Min(_piece.Length, destination.Length);
            _piece.Slice(0, count).CopyTo(destination);
            _piece = _piece.Slice(count);
            destination = destination.Slice(count);
        }
    }
}
