using System;
using System.Runtime.InteropServices;
using System.Threading;
using Blanket.Abi.Xen.Io;
using Blanket.Core.Grants;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>
/// The receive ring of a vif's queue: packets that are for the guest are copied into the pages that it has granted. While the guest offers too
/// few, packets that are for it alone wait for a bounded time.
/// </summary>
internal sealed class VifReceive : RingWorker
{
    private readonly VifDevice _vif;
    private readonly NetworkSwitch _switch;
    private readonly RingPages _pages = new(1);
    private readonly SharedRing _ring = new(1);
    private readonly Packet?[] _backlog = new Packet?[NetLimits.ReceiveBacklog];
    private SpinLock _lock = new(LockClass.Backend);
    private EventLink? _events;
    private VifFeatures _features;
    private int _first;
    private int _count;
    private int _hasNew;
    private ulong _blockedSince = BackendBus.Never;

    internal VifReceive(BackendBus bus, VifDevice vif, NetworkSwitch owner)
        : base(bus, vif.Domain)
    {
        _vif = vif;
        _switch = owner;
    }

    /// <inheritdoc/>
    private protected override bool IsIdle => Volatile.Read(ref _count) == 0;

    /// <summary>Starts on a frontend's ring.</summary>
    /// <returns>0 or a negative errno; nothing is held then.</returns>
    internal int Attach(uint reference, in VifFeatures features)
    {
        int error = _pages.Pin(Guest, reference);
        if (error == 0 && !_ring.TryAttach(_pages.Frames, Netif.ReceiveEntrySize))
        {
            _pages.Release();
            error = -Abi.Xen.Errno.EINVAL;
        }

        _features = features;
        return error;
    }

    /// <summary>Begins to receive.</summary>
    internal void Start(EventLink events)
    {
        _events = events;
        _blockedSince = BackendBus.Never;
        Open();
    }

    /// <summary>Lets go of the ring's page. False while a CPU is at work on it.</summary>
    internal bool TryFinishDetach()
    {
        if (!IsDrained)
        {
            return false;
        }

        _pages.Release();
        return true;
    }

    /// <summary>Takes a packet for the guest; false when too many wait.</summary>
    internal bool TryTake(Packet packet)
    {
        _lock.Acquire();
        bool isTaken = IsOpen && _count < NetLimits.ReceiveBacklog;
        if (isTaken)
        {
            _backlog[(_first + _count) % NetLimits.ReceiveBacklog] = packet;
            Volatile.Write(ref _count, _count + 1);
            Volatile.Write(ref _hasNew, 1);
        }

        _lock.Release();
        return isTaken;
    }

    /// <summary>Looks after packets that were taken, or have waited for long.</summary>
    internal void KickIfNeeded()
    {
        if (Interlocked.Exchange(ref _hasNew, 0) != 0 || Bus.IsDue(WakeTime))
        {
            Kick();
        }
    }

    /// <inheritdoc/>
    private protected override bool WorkOnRings()
    {
        bool hasMore = IsOpen ? Deliver() : DropAll();
        _switch.EndBurst();
        return hasMore;
    }

    /// <inheritdoc/>
    private protected override void Report() => _vif.Notice();

    private bool Deliver()
    {
        bool hasMore = false;
        bool isBlocked = false;
        for (Packet? packet = Oldest; packet != null && !isBlocked; packet = Oldest)
        {
            if (!TryHasRoom(packet, out bool hasRoom))
            {
                hasMore = true;
                break;
            }

            if (!hasRoom && MayWait(packet))
            {
                // The frontend tells when it has offered as many pages as are needed, unless it has meanwhile.
                hasMore = _ring.ArmRequestEvent(SlotsOf(packet));
                isBlocked = true;
                continue;
            }

            if (hasRoom)
            {
                Copy(packet);
            }
            else
            {
                _vif.Port.Statistics.CountDropped();
            }

            RemoveOldest();
            packet.Release();
        }

        NoteBlocked(isBlocked);
        if (_ring.PublishResponses())
        {
            _events!.Notify();
        }

        return hasMore;
    }

    private bool DropAll()
    {
        for (Packet? packet = Oldest; packet != null; packet = Oldest)
        {
            RemoveOldest();
            _vif.Port.Statistics.CountDropped();
            packet.Release();
        }

        NoteBlocked(false);
        return false;
    }

    private Packet? Oldest
    {
        get
        {
            _lock.Acquire();
            Packet? packet = _count == 0 ? null : _backlog[_first];
            _lock.Release();
            return packet;
        }
    }

    private void RemoveOldest()
    {
        _lock.Acquire();
        _backlog[_first] = null;
        _first = (_first + 1) % NetLimits.ReceiveBacklog;
        Volatile.Write(ref _count, _count - 1);
        _lock.Release();
    }

    private static uint SlotsOf(Packet packet) =>
        (packet.Length + NetLimits.SlotSize - 1) / NetLimits.SlotSize + (packet.Offload.Segmentation != SegmentationType.None ? 1u : 0);

    /// <summary>False when the ring is broken.</summary>
    private bool TryHasRoom(Packet packet, out bool hasRoom)
    {
        hasRoom = false;
        if (!_ring.TryCountRequests(out uint requests))
        {
            Log.Line("domain "u8).Decimal(Guest.Id).Text(" broke the receive ring of vif "u8).Decimal(_vif.DeviceId).End();
            Break();
            return false;
        }

        hasRoom = requests >= SlotsOf(packet);
        return true;
    }

    /// <summary>Whether a packet that there is no room for stays, so that those behind it stay too.</summary>
    private bool MayWait(Packet packet) =>
        !packet.IsFlooded && packet.Source.MayWait && SlotsOf(packet) <= (uint)_ring.Entries
        && (_blockedSince == BackendBus.Never || Bus.Now - _blockedSince < NetLimits.ReceivePatience);

    private void NoteBlocked(bool isBlocked)
    {
        if (!isBlocked)
        {
            _blockedSince = BackendBus.Never;
            EndWait();
            return;
        }

        ulong now = Bus.Now;
        if (_blockedSince == BackendBus.Never)
        {
            _blockedSince = now;
        }

        ulong wake = WakeTime;
        if (wake == BackendBus.Never || wake <= now)
        {
            ulong end = _blockedSince + NetLimits.ReceivePatience;
            WaitUntil(_features.NotifiesReceive ? end : Math.Min(end, now + NetLimits.ReceivePollInterval));
        }
    }

    private void Copy(Packet packet)
    {
        PacketReader reader = new(packet);
        uint left = packet.Length;
        bool isFirst = true;
        bool isLarge = packet.Offload.Segmentation != SegmentationType.None;
        do
        {
            uint length = Math.Min(left, NetLimits.SlotSize);
            left -= length;
            NetifReceiveFlags flags = left != 0 ? NetifReceiveFlags.MoreData : NetifReceiveFlags.None;
            if (isFirst)
            {
                flags |= ChecksumFlags(in packet.Offload) | (isLarge ? NetifReceiveFlags.ExtraInfo : NetifReceiveFlags.None);
            }

            CopySlot(ref reader, (int)length, flags);
            if (isFirst && isLarge)
            {
                PutLargeInfo(in packet.Offload);
            }

            isFirst = false;
        }
        while (left != 0);

        _vif.Port.Statistics.CountOut(packet.Length);
    }

    private static NetifReceiveFlags ChecksumFlags(in PacketOffload offload)
    {
        if (offload.NeedsChecksum)
        {
            return NetifReceiveFlags.ChecksumBlank | NetifReceiveFlags.DataValidated;
        }

        return offload.ChecksumIsValid ? NetifReceiveFlags.DataValidated : NetifReceiveFlags.None;
    }

    private void CopySlot(ref PacketReader reader, int length, NetifReceiveFlags flags)
    {
        NetifReceiveRequest request = default;
        _ring.TakeRequest(MemoryMarshal.AsBytes(new Span<NetifReceiveRequest>(ref request)));
        int error = GrantPin.TryPin(Guest, request.Reference, true, out PinnedGrant page);
        bool isCovered = error == 0 && page.Covers(0, (uint)length);
        if (isCovered)
        {
            reader.Read(PhysicalMemory.Bytes(page.Frame << Cpu.PageShift, length));
        }

        if (error == 0)
        {
            GrantPin.Unpin(Guest, in page);
        }

        // A page that cannot be written costs the guest this packet; the rest of it is of no use then.
        NetifReceiveResponse response = new()
        {
            Id = request.Id,
            Flags = flags,
            Status = isCovered ? (short)length : Netif.Error,
        };
        _ring.PutResponse(MemoryMarshal.AsBytes(new Span<NetifReceiveResponse>(ref response)));
    }

    private void PutLargeInfo(in PacketOffload offload)
    {
        // The slot's own page stays unused; the answer is in the place of the request, as frontends demand.
        NetifReceiveRequest request = default;
        _ring.TakeRequest(MemoryMarshal.AsBytes(new Span<NetifReceiveRequest>(ref request)));
        NetifExtraInfo info = NetifOffload.LargeInfo(in offload);
        _ring.PutResponse(MemoryMarshal.AsBytes(new Span<NetifExtraInfo>(ref info)));
    }
}
