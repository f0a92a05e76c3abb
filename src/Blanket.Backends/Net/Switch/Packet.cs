using System;
using System.Threading;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>Where packets come from and go back to when nobody needs their memory any more.</summary>
internal abstract class PacketSource
{
    /// <summary>Whether packets may wait for a receiver that has no room; otherwise they are dropped at once.</summary>
    internal abstract bool MayWait { get; }

    /// <summary>The last user has let go of a packet. Called from any handler; what is to be done at length waits for <see cref="NetworkSwitch.EndBurst"/>.</summary>
    internal abstract void Released(Packet packet);
}

/// <summary>
/// A packet on its way through a switch. Its beginning is a private copy, in which all checks are done; the rest is memory of its source, which
/// a guest may change at any time.
/// </summary>
internal sealed class Packet
{
    /// <summary>Bytes of the beginning that are copied at most: Ethernet with two VLAN tags, IPv6 with extensions, TCP with options.</summary>
    internal const int HeaderCapacity = 256;

    private ulong _headerAddress;
    private int _references;

    /// <summary>A packet for reuse.</summary>
    /// <param name="source">Where it goes back to.</param>
    /// <param name="index">Its number there.</param>
    /// <param name="maximumFragments">Pieces that the rest can have.</param>
    internal Packet(PacketSource source, int index, int maximumFragments)
    {
        Source = source;
        Index = index;
        Fragments = new DmaSegment[maximumFragments];
    }

    /// <summary>Where it goes back to.</summary>
    internal PacketSource Source { get; }

    /// <summary>Its number at its source.</summary>
    internal int Index { get; }

    /// <summary>Next packet, by number, in a list of the source's.</summary>
    internal int Next;

    /// <summary>Number of the port that it came in by.</summary>
    internal int Ingress;

    /// <summary>Bytes of the copied beginning.</summary>
    internal int HeaderLength;

    /// <summary>The pieces behind the beginning; the first <see cref="FragmentCount"/> are in use.</summary>
    internal DmaSegment[] Fragments { get; }

    /// <summary>Pieces in use.</summary>
    internal int FragmentCount;

    /// <summary>Bytes of all.</summary>
    internal uint Length;

    /// <summary>What is left to be done by a device, or has been.</summary>
    internal PacketOffload Offload;

    /// <summary>Where its headers are.</summary>
    internal PacketHeaders Headers;

    /// <summary>Goes to several ports, so that none of them may keep it waiting.</summary>
    internal bool IsFlooded;

    /// <summary>The copied beginning.</summary>
    internal Span<byte> Header => PhysicalMemory.Bytes(_headerAddress, HeaderLength);

    /// <summary>The copied beginning as a piece for a device.</summary>
    internal DmaSegment HeaderSegment => new(_headerAddress, (uint)HeaderLength);

    /// <summary>Names <see cref="HeaderCapacity"/> bytes of memory for its beginning, before its first life.</summary>
    internal void SetHeaderMemory(ulong address) => _headerAddress = address;

    /// <summary>Begins a new life with one user.</summary>
    internal void Start()
    {
        HeaderLength = 0;
        FragmentCount = 0;
        Length = 0;
        Offload = default;
        Headers = default;
        IsFlooded = false;
        Volatile.Write(ref _references, 1);
    }

    /// <summary>Adds a piece behind the others; false when there are too many.</summary>
    internal bool TryAppend(ulong address, uint length)
    {
        if (length == 0)
        {
            return true;
        }

        if (FragmentCount == Fragments.Length)
        {
            return false;
        }

        Fragments[FragmentCount++] = new DmaSegment(address, length);
        return true;
    }

    /// <summary>Adds a user.</summary>
    internal void AddReference() => Interlocked.Increment(ref _references);

    /// <summary>A user is done.</summary>
    internal void Release()
    {
        if (Interlocked.Decrement(ref _references) == 0)
        {
            Source.Released(this);
        }
    }

    /// <summary>Fills in the checksum that was left to the device. False when its field is not in the copied beginning.</summary>
    internal bool TryCompleteChecksum()
    {
        int start = Offload.ChecksumStart;
        int field = start + Offload.ChecksumOffset;
        if (field + 2 > HeaderLength)
        {
            return false;
        }

        InternetChecksum sum = default;
        sum.Add(Header.Slice(start));
        for (int i = 0; i < FragmentCount; i++)
        {
            sum.Add(PhysicalMemory.Bytes(Fragments[i].Address, (int)Fragments[i].Length));
        }

        ushort checksum = sum.Complement();
        if (checksum == 0 && Headers.Transport == start && Headers.Protocol == PacketHeaders.Udp)
        {
            // RFC 768: 0 means no checksum.
            checksum = 0xffff;
        }

        System.Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(Header.Slice(field), checksum);
        Offload.NeedsChecksum = false;
        Offload.ChecksumIsValid = true;
        return true;
    }
}
