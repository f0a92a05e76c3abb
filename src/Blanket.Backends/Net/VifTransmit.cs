using System;
using System.Runtime.InteropServices;
using System.Threading;
using Blanket.Abi.Xen.Io;
using Blanket.Core.Grants;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>
/// The transmit ring of a vif's queue. The beginning of a packet is copied, so that what is checked is what is sent; the rest goes on as the
/// guest's own pages, pinned until the last receiver has let go of the packet.
/// </summary>
internal sealed class VifTransmit : RingWorker
{
    private const int None = -1;

    /// <summary>Entries of a ring of one page.</summary>
    private const int MaximumSlots = 256;

    /// <summary>Packets between two looks for who else wants the CPU.</summary>
    private const int PacketsBetweenChecks = 16;

    /// <summary>Pages that are let go of together; more than a packet has.</summary>
    private const int BatchSize = 64;

    private readonly VifDevice _vif;
    private readonly NetworkSwitch _switch;
    private readonly RingPages _pages = new(1);
    private readonly SharedRing _ring = new(1);
    private readonly HeaderMemory _headers = new(NetLimits.Packets);
    private readonly Packet[] _packets = new Packet[NetLimits.Packets];
    private readonly int[] _firstSlot = new int[NetLimits.Packets];
    private readonly TransmitSlot[] _slots = new TransmitSlot[MaximumSlots];

    // What one call of the grant table pins or lets go of; empty between calls.
    private readonly PinnedSegment[] _batch = new PinnedSegment[BatchSize];
    private int _batched;
    private EventLink? _events;
    private PacedClock _rate;
    private TransmitPacket _taken;
    private int _freePacket = None;
    private int _freePackets;
    private int _freeSlot = None;
    private int _released = None;

    internal VifTransmit(BackendBus bus, VifDevice vif, NetworkSwitch owner)
        : base(bus, vif.Domain)
    {
        _vif = vif;
        _switch = owner;
        PacketSource origin = new Origin(this);
        for (int i = 0; i < NetLimits.Packets; i++)
        {
            _packets[i] = new Packet(origin, i, NetLimits.ToleratedSlots) { Next = _freePacket };
            _freePacket = i;
            _freePackets++;
        }

        for (int i = 0; i < MaximumSlots; i++)
        {
            _slots[i].Next = _freeSlot;
            _freeSlot = i;
        }
    }

    /// <inheritdoc/>
    private protected override bool IsIdle => _freePackets == NetLimits.Packets;

    /// <summary>Takes memory for packets; false when it is out.</summary>
    internal bool TryAllocate()
    {
        if (!_headers.TryAllocate())
        {
            return false;
        }

        for (int i = 0; i < NetLimits.Packets; i++)
        {
            _packets[i].SetHeaderMemory(_headers.Address(i));
        }

        return true;
    }

    /// <summary>Gives the memory back; only while no packet is on its way.</summary>
    internal void Free() => _headers.Free();

    /// <summary>Starts on a frontend's ring.</summary>
    /// <returns>0 or a negative errno; nothing is held then.</returns>
    internal int Attach(uint reference, in PacedClock rate)
    {
        int error = _pages.Pin(Guest, reference);
        if (error == 0 && !_ring.TryAttach(_pages.Frames, Netif.TransmitEntrySize))
        {
            _pages.Release();
            error = -Abi.Xen.Errno.EINVAL;
        }

        _rate = rate;
        return error;
    }

    /// <summary>Begins to send.</summary>
    internal void Start(EventLink events)
    {
        _events = events;
        EndWait();
        Open();
    }

    /// <summary>Lets go of the ring's page. False while packets are on their way.</summary>
    internal bool TryFinishDetach()
    {
        if (!IsDrained)
        {
            return false;
        }

        _pages.Release();
        return true;
    }

    /// <summary>Looks after packets that have come back, or may go on now.</summary>
    internal void KickIfNeeded()
    {
        if (Volatile.Read(ref _released) != None || Bus.IsDue(WakeTime))
        {
            Kick();
        }
    }

    /// <inheritdoc/>
    private protected override bool WorkOnRings()
    {
        FinishReleased();
        bool mayTake = IsOpen;
        EndWait();
        bool hasMore = mayTake && TakePackets();
        _switch.EndBurst();
        if (mayTake && _ring.PublishResponses())
        {
            _events!.Notify();
        }

        if (Volatile.Read(ref _released) != None)
        {
            return true;
        }

        // While packets or bytes are lacking no notification is wanted: what is waited for comes from elsewhere.
        bool isStalled = _freePackets == 0 || WakeTime != BackendBus.Never;
        return hasMore || (IsOpen && !isStalled && _ring.ArmRequestEvent());
    }

    /// <inheritdoc/>
    private protected override void Report() => _vif.Notice();

    /// <summary>Takes packets from the ring. True when the ring has to be looked at again.</summary>
    private bool TakePackets()
    {
        if (!_ring.TryCountRequests(out uint count))
        {
            ReportBroken();
            return false;
        }

        for (int taken = 1; count != 0 && _freePackets != 0; taken++)
        {
            if (taken % PacketsBetweenChecks == 0 && Bus.MustGiveWay)
            {
                return true;
            }

            if (!TryRead(count, ref _taken))
            {
                ReportBroken();
                return false;
            }

            if (!IsWithinRate(_taken.Requests[0].Size))
            {
                return false;
            }

            uint slots = _taken.Total;
            _ring.SkipRequests(slots);
            count -= slots;
            Send(in _taken);
        }

        return false;
    }

    /// <summary>Takes a packet's bytes from the rate; if it has to, waits until it may.</summary>
    private bool IsWithinRate(uint bytes)
    {
        if (!_rate.IsLimited)
        {
            return true;
        }

        ulong now = Bus.Now;
        if (!MayBegin(in _rate, now))
        {
            return false;
        }

        _rate.Take(bytes, now);
        return true;
    }

    private void ReportBroken()
    {
        Log.Line("domain "u8).Decimal(Guest.Id).Text(" broke the transmit ring of vif "u8).Decimal(_vif.DeviceId).End();
        Break();
    }

    /// <summary>Copies the slots of the next packet. False when it is not there as a whole, or has more slots than anybody would use.</summary>
    private bool TryRead(uint available, ref TransmitPacket packet)
    {
        packet.Count = 0;
        packet.Extras = 0;
        packet.HasBadExtra = false;
        packet.Large = default;
        bool hasMore = true;
        while (hasMore)
        {
            if (packet.Total == available || packet.Count == NetLimits.ToleratedSlots)
            {
                return false;
            }

            NetifTransmitRequest request = default;
            _ring.PeekRequest(packet.Total, MemoryMarshal.AsBytes(new Span<NetifTransmitRequest>(ref request)));
            packet.Requests[packet.Count++] = request;
            hasMore = (request.Flags & NetifTransmitFlags.MoreData) != 0;
            if (packet.Count == 1 && (request.Flags & NetifTransmitFlags.ExtraInfo) != 0 && !TryReadExtras(available, ref packet))
            {
                return false;
            }
        }

        return true;
    }

    private bool TryReadExtras(uint available, ref TransmitPacket packet)
    {
        NetifExtraInfo extra = default;
        do
        {
            if (packet.Total == available)
            {
                return false;
            }

            _ring.PeekRequest(packet.Total, MemoryMarshal.AsBytes(new Span<NetifExtraInfo>(ref extra)));
            packet.Extras++;
            if (extra.Type == 0 || extra.Type >= Netif.ExtraMaximum)
            {
                packet.HasBadExtra = true;
            }
            else if (extra.Type == Netif.ExtraGso)
            {
                packet.Large = extra;
            }
        }
        while ((extra.Flags & Netif.ExtraMore) != 0);

        return true;
    }

    private void Send(in TransmitPacket taken)
    {
        for (int i = 0; i < taken.Extras; i++)
        {
            PutResponse(0, Netif.Null);
        }

        Packet packet = TakePacket();
        if (!TryBuild(packet, in taken))
        {
            _vif.Port.Statistics.CountRejected();
            Answer(packet.Index, in taken, Netif.Error);
            ReturnPacket(packet.Index);
            return;
        }

        if (packet.FragmentCount == 0)
        {
            // All of it was copied: the guest's pages are free already.
            AnswerSlots(packet.Index);
            UnpinBatch();
        }

        if (!TrySetOffload(packet, in taken))
        {
            // As with a wire, a packet that nobody can make sense of is lost.
            _vif.Port.Statistics.CountRejected();
            packet.Release();
            return;
        }

        _switch.Forward(_vif.Port, packet);
    }

    private Packet TakePacket()
    {
        Packet packet = _packets[_freePacket];
        _freePacket = packet.Next;
        _freePackets--;
        _firstSlot[packet.Index] = None;
        packet.Start();
        return packet;
    }

    private void ReturnPacket(int index)
    {
        _packets[index].Next = _freePacket;
        _freePacket = index;
        _freePackets++;
    }

    /// <summary>Pins the packet's pages and copies its beginning. On false all or none are pinned, and none is answered.</summary>
    private bool TryBuild(Packet packet, in TransmitPacket taken)
    {
        uint length = taken.Requests[0].Size;
        if (taken.HasBadExtra || taken.Count > Netif.MinimumSlots || length < PacketHeaders.EthernetSize
            || !TryFirstSize(in taken, out uint firstSize) || !TryPinSlots(packet.Index, in taken, firstSize))
        {
            return false;
        }

        packet.Length = length;
        foreach (ref readonly PinnedSegment page in new ReadOnlySpan<PinnedSegment>(_batch, 0, taken.Count))
        {
            if (!TryAppend(packet, (page.Frame << Cpu.PageShift) + page.Offset, page.Length))
            {
                return false;
            }
        }

        packet.Headers = PacketHeaders.Parse(packet.Header);
        return true;
    }

    /// <summary>The first slot names the packet's length; its own is what the others leave.</summary>
    private static bool TryFirstSize(in TransmitPacket taken, out uint size)
    {
        size = taken.Requests[0].Size;
        for (int i = 1; i < taken.Count; i++)
        {
            uint other = taken.Requests[i].Size;
            if (other > size)
            {
                return false;
            }

            size -= other;
        }

        return true;
    }

    /// <summary>Pins the pages of a packet's slots and leaves them in the batch, in order. On false none is pinned.</summary>
    private bool TryPinSlots(int packet, in TransmitPacket taken, uint firstSize)
    {
        Check.That(_batched == 0);
        Span<PinnedSegment> pages = new(_batch, 0, taken.Count);
        for (int i = 0; i < pages.Length; i++)
        {
            NetifTransmitRequest request = taken.Requests[i];
            uint size = i == 0 ? firstSize : request.Size;
            if (request.Offset + size > NetLimits.SlotSize)
            {
                return false;
            }

            pages[i] = new PinnedSegment { Reference = request.Reference, Offset = request.Offset, Length = (ushort)size };
        }

        if (GrantPin.TryPinAll(Guest, false, pages) != 0)
        {
            return false;
        }

        for (int i = 0; i < pages.Length; i++)
        {
            int index = _freeSlot;
            ref TransmitSlot slot = ref _slots[index];
            _freeSlot = slot.Next;
            slot.Next = _firstSlot[packet];
            slot.Id = taken.Requests[i].Id;
            slot.Page = pages[i];
            _firstSlot[packet] = index;
        }

        return true;
    }

    private static bool TryAppend(Packet packet, ulong address, uint length)
    {
        int copied = (int)Math.Min(length, (uint)(Packet.HeaderCapacity - packet.HeaderLength));
        int start = packet.HeaderLength;
        packet.HeaderLength += copied;
        PhysicalMemory.Bytes(address, copied).CopyTo(packet.Header.Slice(start));
        return packet.TryAppend(address + (uint)copied, length - (uint)copied);
    }

    /// <summary>Says what is left to be done with the packet. False when the headers do not show how.</summary>
    private static bool TrySetOffload(Packet packet, in TransmitPacket taken)
    {
        NetifTransmitFlags flags = taken.Requests[0].Flags;
        return NetifOffload.TryFromWire(
            (flags & NetifTransmitFlags.ChecksumBlank) != 0, (flags & NetifTransmitFlags.DataValidated) != 0, in taken.Large, packet.Header,
            in packet.Headers, packet.Length, out packet.Offload);
    }

    /// <summary>Lets go of what was pinned of a packet and answers all its slots with one status.</summary>
    private void Answer(int packet, in TransmitPacket taken, short status)
    {
        FreeSlots(packet);
        UnpinBatch();
        for (int i = 0; i < taken.Count; i++)
        {
            PutResponse(taken.Requests[i].Id, status);
        }
    }

    /// <summary>Frees a packet's slots; their pages go to the batch, which is let go of when it is full.</summary>
    private void FreeSlots(int packet)
    {
        int index = _firstSlot[packet];
        _firstSlot[packet] = None;
        while (index != None)
        {
            ref TransmitSlot slot = ref _slots[index];
            int next = slot.Next;
            if (_batched == _batch.Length)
            {
                UnpinBatch();
            }

            _batch[_batched++] = slot.Page;
            slot.Next = _freeSlot;
            _freeSlot = index;
            index = next;
        }
    }

    /// <summary>Lets go of the pages in the batch; to be done before their answers are published.</summary>
    private void UnpinBatch()
    {
        int count = _batched;
        if (count == 0)
        {
            return;
        }

        _batched = 0;
        GrantPin.UnpinAll(Guest, false, new ReadOnlySpan<PinnedSegment>(_batch, 0, count));
    }

    /// <summary>Answers a packet's slots and frees them; the caller lets go of the batch.</summary>
    private void AnswerSlots(int packet)
    {
        for (int index = _firstSlot[packet]; index != None; index = _slots[index].Next)
        {
            PutResponse(_slots[index].Id, Netif.Okay);
        }

        FreeSlots(packet);
    }

    private void PutResponse(ushort id, short status)
    {
        if (!IsOpen)
        {
            return;
        }

        NetifTransmitResponse response = new() { Id = id, Status = status };
        _ring.PutResponse(MemoryMarshal.AsBytes(new Span<NetifTransmitResponse>(ref response)));
    }

    private void FinishReleased()
    {
        int index = Interlocked.Exchange(ref _released, None);
        while (index != None)
        {
            int next = _packets[index].Next;
            AnswerSlots(index);
            ReturnPacket(index);
            index = next;
        }

        UnpinBatch();
    }

    /// <summary>A page of a packet that is on its way.</summary>
    private struct TransmitSlot
    {
        internal int Next;
        internal ushort Id;
        internal PinnedSegment Page;
    }

    /// <summary>Where the ring's packets come back to.</summary>
    private sealed class Origin(VifTransmit ring) : PacketSource
    {
        internal override bool MayWait => true;

        internal override void Released(Packet packet)
        {
            int head = Volatile.Read(ref ring._released);
            while (true)
            {
                packet.Next = head;
                int seen = Interlocked.CompareExchange(ref ring._released, packet.Index, head);
                if (seen == head)
                {
                    break;
                }

                head = seen;
            }

            ring._switch.Touch(ring._vif.Port.Index);
        }
    }
}
