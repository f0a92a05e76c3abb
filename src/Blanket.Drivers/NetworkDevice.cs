using System;

namespace Blanket.Drivers;

/// <summary>Segmentation that is left to the device or was done by it.</summary>
public enum SegmentationType : byte
{
    None,
    TcpIpv4,
    TcpIpv6,
    Udp,
}

/// <summary>What travels beside a packet.</summary>
public struct PacketOffload
{
    /// <summary>The checksum at <see cref="ChecksumStart"/> + <see cref="ChecksumOffset"/> is to be computed from ChecksumStart to the end; the field holds the pseudo-header's sum.</summary>
    public bool NeedsChecksum;

    /// <summary>Received packets: the checksum was verified (or comes from a trusted neighbour) and need not be checked again.</summary>
    public bool ChecksumIsValid;
    public SegmentationType Segmentation;

    /// <summary>The TCP header has ECN's CWR bit to be handled as RFC 3168 says.</summary>
    public bool HasEcn;
    public ushort ChecksumStart;
    public ushort ChecksumOffset;

    /// <summary>Bytes of headers before the payload, for segmentation.</summary>
    public ushort HeaderLength;

    /// <summary>Payload bytes of each segment.</summary>
    public ushort SegmentSize;
}

/// <summary>
/// Who uses a network device. Called with the device's locks not held, as a rule on the CPU that takes the queue's interrupt; after an
/// error also on other CPUs, at the same time.
/// </summary>
public abstract class NetworkClient
{
    /// <summary>A packet was received into buffers that were supplied; they are the client's again.</summary>
    /// <param name="queue">Queue pair.</param>
    /// <param name="buffers">Tags of the buffers in order.</param>
    /// <param name="firstOffset">Offset of the packet in the first buffer, in bytes; 0 in the others.</param>
    /// <param name="length">Bytes of the packet.</param>
    /// <param name="offload">Checksum and segmentation state, already validated.</param>
    public abstract void Received(int queue, ReadOnlySpan<uint> buffers, uint firstOffset, uint length, in PacketOffload offload);

    /// <summary>A receive buffer came back unused: the device was reset or lied about it.</summary>
    public abstract void ReceiveBufferReturned(int queue, uint tag);

    /// <summary>A packet has left its memory (or was dropped by the device; networks may).</summary>
    public abstract void Sent(int queue, uint tag);

    /// <summary>All packets and completions of one interrupt have been reported.</summary>
    public abstract void InterruptEnd(int queue);

    /// <summary>Packets and receive buffers that were refused for lack of room may be tried again.</summary>
    public abstract void RoomAvailable(int queue);

    /// <summary>Link state or MTU changed.</summary>
    public abstract void LinkChanged();
}

/// <summary>What a network device can do.</summary>
public struct NetworkCapabilities
{
    /// <summary>Transmit: fills in checksums.</summary>
    public bool TransmitChecksum;
    public bool TransmitTcpIpv4;
    public bool TransmitTcpIpv6;

    /// <summary>The most segments of a packet.</summary>
    public uint MaximumSegments;

    /// <summary>Bytes of every receive buffer that the client supplies.</summary>
    public uint ReceiveBufferSize;

    /// <summary>Largest frame payload in bytes (without the Ethernet header).</summary>
    public ushort Mtu;
}

/// <summary>A network interface of L0, whatever its transport. No method waits.</summary>
public abstract class NetworkDevice
{
    /// <summary>The one user.</summary>
    public NetworkClient? Client;

    /// <summary>Hardware address, 6 bytes.</summary>
    public abstract ReadOnlySpan<byte> MacAddress { get; }

    public abstract bool IsLinkUp { get; }

    public abstract ref readonly NetworkCapabilities Capabilities { get; }

    /// <summary>Queue pairs, at least 1.</summary>
    public abstract int QueueCount { get; }

    /// <summary>Whether the device fills in the checksum that a packet lacks; a device may know fewer kinds than its capabilities say.</summary>
    public virtual bool CanChecksum(in PacketOffload offload, in PacketHeaders headers) => Capabilities.TransmitChecksum;

    /// <summary>Receive buffers that a queue can hold.</summary>
    public abstract int ReceiveCapacity(int queue);

    /// <summary>Puts a packet into a queue; the device sees it at the next <see cref="Kick"/>. Memory stays pinned until Sent.</summary>
    /// <returns>False when there is no room now.</returns>
    public abstract bool TrySend(int queue, ReadOnlySpan<DmaSegment> segments, in PacketOffload offload, uint tag);

    /// <summary>Gives the device a buffer of <see cref="NetworkCapabilities.ReceiveBufferSize"/> bytes to receive into.</summary>
    public abstract bool TrySupplyReceiveBuffer(int queue, ulong address, uint tag);

    /// <summary>Tells the device about packets and buffers; at most one exit each.</summary>
    public abstract void Kick(int queue);
}
