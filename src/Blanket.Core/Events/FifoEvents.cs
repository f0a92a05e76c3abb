using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Events;

/// <summary>
/// The FIFO event channel ABI of one domain (xen/include/public/event_channel.h): an array of event words in the guest's
/// pages, and 16 queues a vCPU whose heads are in the guest's control blocks. Tails are kept here: no value in the
/// guest's pages is used as an index. A vCPU's queues change under its lock; event words of other ports may change at any time.
/// </summary>
internal sealed class FifoEvents
{
    // A guest may change a linked event word four times (mask, unmask, clear pending, unlink) between two looks at it.
    private const int LinkAttempts = 4;

    private readonly Domain _domain;
    private readonly EventChannels _events;
    private readonly uint[] _arrayFrames = new uint[EventChannelFifo.ArrayPages];
    private readonly ulong[] _controlBlocks;
    private readonly uint[] _tails;
    private readonly SpinLock[] _locks;
    private uint _words;
    private bool _isEnabled;

    public FifoEvents(Domain domain, EventChannels events)
    {
        _domain = domain;
        _events = events;
        _controlBlocks = new ulong[domain.Vcpus.Length];
        _tails = new uint[domain.Vcpus.Length * EventChannelFifo.Queues];
        _locks = new SpinLock[domain.Vcpus.Length];
        for (int i = 0; i < _locks.Length; i++)
        {
            _locks[i] = new SpinLock(LockClass.EventQueues, (ushort)i);
        }
    }

    /// <summary>Whether the guest uses this ABI.</summary>
    public bool IsEnabled => Volatile.Read(ref _isEnabled);

    /// <summary>EVTCHNOP_init_control, under the domain's event channel lock: sets a vCPU's control block.</summary>
    /// <returns>0, -EINVAL for a bad place, a frame that is not fit, or a second control block.</returns>
    public int SetControlBlock(Vcpu vcpu, ulong frame, uint offset)
    {
        if (offset > Cpu.PageSize - EventChannelFifo.ControlBlockSize || offset % 8 != 0
            || _controlBlocks[vcpu.Id] != 0 || !FrameReference.TryGetWritable(_domain, frame))
        {
            return -Errno.EINVAL;
        }

        Volatile.Write(ref _controlBlocks[vcpu.Id], (frame << Cpu.PageShift) + offset);
        if (!_isEnabled)
        {
            SavePending();
            Volatile.Write(ref _isEnabled, true);
        }

        return 0;
    }

    /// <summary>EVTCHNOP_expand_array, under the domain's event channel lock: one more page of event words.</summary>
    /// <returns>0, -EOPNOTSUPP with the two-level ABI, -ENOSPC when the array is complete, -EINVAL for a frame that is not fit.</returns>
    public int AddArrayPage(ulong frame)
    {
        if (!_isEnabled)
        {
            return -Errno.EOPNOTSUPP;
        }

        uint first = _words;
        if (first >= EventChannelFifo.Ports)
        {
            return -Errno.ENOSPC;
        }

        if (!FrameReference.TryGetWritable(_domain, frame))
        {
            return -Errno.EINVAL;
        }

        _arrayFrames[first / EventChannelFifo.WordsPerPage] = (uint)frame;
        Volatile.Write(ref _words, first + EventChannelFifo.WordsPerPage);
        Interlocked.MemoryBarrier();
        RaiseSaved(first);
        return 0;
    }

    /// <summary>Back to the two-level ABI, under the domain's event channel lock (or when nobody sends any more); all ports are closed.</summary>
    public void Disable()
    {
        if (!_isEnabled)
        {
            return;
        }

        uint words = _words;
        Volatile.Write(ref _isEnabled, false);
        Volatile.Write(ref _words, 0u);
        for (int vcpu = 0; vcpu < _controlBlocks.Length; vcpu++)
        {
            // A sender that holds the lock still uses the pages; one that comes later finds nothing.
            _locks[vcpu].Acquire();
            ulong block = _controlBlocks[vcpu];
            Volatile.Write(ref _controlBlocks[vcpu], 0UL);
            for (int queue = 0; queue < EventChannelFifo.Queues; queue++)
            {
                _tails[vcpu * EventChannelFifo.Queues + queue] = 0;
            }

            _locks[vcpu].Release();
            if (block != 0)
            {
                FrameReference.PutWritable(block >> Cpu.PageShift);
            }
        }

        for (uint page = 0; page < words / EventChannelFifo.WordsPerPage; page++)
        {
            FrameReference.PutWritable(_arrayFrames[page]);
        }
    }

    /// <summary>Takes off (-1) or puts back (1) the references on the guest's pages, for <see cref="MemoryAudit"/>.</summary>
    public void ShareOfPages(int sign)
    {
        foreach (ulong block in _controlBlocks)
        {
            MemoryAudit.Adjust(block >> Cpu.PageShift, sign, sign);
        }

        for (uint page = 0; page < _words / EventChannelFifo.WordsPerPage; page++)
        {
            MemoryAudit.Adjust(_arrayFrames[page], sign, sign);
        }
    }

    /// <summary>Makes a port pending and, if it is not masked, links it to its queue.</summary>
    public void SetPending(uint port, Vcpu vcpu)
    {
        ref EventPort entry = ref _events.Port(port);
        if (!HasWord(port))
        {
            Volatile.Write(ref entry.PendingWithoutWord, (byte)1);
            Interlocked.MemoryBarrier();

            // Either the page came meanwhile and is seen here, or who adds it sees what was just saved.
            if (!HasWord(port))
            {
                return;
            }
        }

        if (!TryLockQueues(ref entry, vcpu.Id, out int lastVcpu))
        {
            return;
        }

        bool becamePending = false;
        bool becameReady = false;
        if (HasWord(port) && _controlBlocks[vcpu.Id] != 0)
        {
            ref uint word = ref Word(port);
            becamePending = !AtomicBits.TestAndSet(ref word, EventChannelFifo.Pending);
            bool mustLink = !IsSet(ref word, EventChannelFifo.Masked) && !AtomicBits.TestAndSet(ref word, EventChannelFifo.Linked);
            becameReady = mustLink && Link(port, ref entry, vcpu.Id);
        }

        UnlockQueues(vcpu.Id, lastVcpu);
        if (becameReady)
        {
            vcpu.Info.MarkPending(vcpu);
        }

        if (becamePending)
        {
            _events.NotifyPollers(port);
        }
    }

    /// <summary>Clears the pending bit; under the domain's event channel lock, as all below.</summary>
    public void ClearPending(uint port)
    {
        if (HasWord(port))
        {
            AtomicBits.Clear(ref Word(port), 1u << EventChannelFifo.Pending);
        }
    }

    /// <summary>Clears the mask and links the port if it is pending.</summary>
    public void Unmask(uint port)
    {
        if (!HasWord(port))
        {
            return;
        }

        ref uint word = ref Word(port);
        AtomicBits.Clear(ref word, 1u << EventChannelFifo.Masked);
        Vcpu? vcpu = _domain.Vcpus[_events.Port(port).NotifyVcpu];
        if (vcpu != null && IsSet(ref word, EventChannelFifo.Pending))
        {
            SetPending(port, vcpu);
        }
    }

    /// <summary>Whether an event waits on the port.</summary>
    public bool IsPending(uint port) => HasWord(port) && IsSet(ref Word(port), EventChannelFifo.Pending);

    /// <summary>Whether a closed port is still in a queue, and so cannot be used again.</summary>
    public bool IsLinked(uint port) => IsEnabled && HasWord(port) && IsSet(ref Word(port), EventChannelFifo.Linked);

    // Puts a port that is now marked as linked at the end of its queue; true when the queue was empty and the guest did not know of it as ready.
    private bool Link(uint port, ref EventPort entry, int vcpu)
    {
        byte priority = Volatile.Read(ref entry.Priority);
        uint queue = (uint)(vcpu * EventChannelFifo.Queues + priority);
        ref uint lastTail = ref _tails[entry.LastQueue];
        if (lastTail == port)
        {
            // It was the end of its old queue, which therefore is empty.
            lastTail = 0;
        }

        Volatile.Write(ref entry.LastQueue, queue);
        uint tail = _tails[queue];
        _tails[queue] = port;
        if (tail != 0 && HasWord(tail) && TrySetLink(ref Word(tail), port))
        {
            return false;
        }

        ulong block = _controlBlocks[vcpu];
        Volatile.Write(ref PhysicalMemory.At<uint>(block + EventChannelFifo.HeadOffset + (uint)priority * sizeof(uint)), port);
        return !AtomicBits.TestAndSet(ref PhysicalMemory.At<uint>(block + EventChannelFifo.ReadyOffset), priority);
    }

    // Makes the word of a queue's end point to the next port; false when the guest has taken it out of the queue.
    private static bool TrySetLink(ref uint word, uint link)
    {
        if (TrySetLinkOnce(ref word, link, out bool linked))
        {
            return linked;
        }

        // The busy bit keeps the guest from unmasking, so that the word settles.
        AtomicBits.Set(ref word, 1u << EventChannelFifo.Busy);
        for (int attempt = 0; attempt < LinkAttempts; attempt++)
        {
            if (TrySetLinkOnce(ref word, link, out linked))
            {
                if (!linked)
                {
                    AtomicBits.Clear(ref word, 1u << EventChannelFifo.Busy);
                }

                return linked;
            }
        }

        // A guest that goes on changing the word breaks the rules and loses the event.
        AtomicBits.Clear(ref word, 1u << EventChannelFifo.Busy);
        return true;
    }

    private static bool TrySetLinkOnce(ref uint word, uint link, out bool linked)
    {
        uint old = Volatile.Read(ref word);
        linked = (old >> EventChannelFifo.Linked & 1) != 0;
        if (!linked)
        {
            return true;
        }

        uint value = (old & ~((1u << EventChannelFifo.Busy) | EventChannelFifo.LinkMask)) | link;
        return Interlocked.CompareExchange(ref word, value, old) == old;
    }

    // Locks the queues of the vCPU that is notified and of the one whose queue the port was in last, by rising number.
    private bool TryLockQueues(ref EventPort entry, int vcpu, out int lastVcpu)
    {
        for (int attempt = 0; attempt < LinkAttempts; attempt++)
        {
            lastVcpu = (int)Volatile.Read(ref entry.LastQueue) / EventChannelFifo.Queues;
            _locks[vcpu < lastVcpu ? vcpu : lastVcpu].Acquire();
            if (vcpu != lastVcpu)
            {
                _locks[vcpu < lastVcpu ? lastVcpu : vcpu].Acquire();
            }

            if ((int)Volatile.Read(ref entry.LastQueue) / EventChannelFifo.Queues == lastVcpu)
            {
                return true;
            }

            UnlockQueues(vcpu, lastVcpu);
        }

        // The guest moves the port to and fro all the time; the event is lost.
        lastVcpu = 0;
        return false;
    }

    private void UnlockQueues(int vcpu, int lastVcpu)
    {
        _locks[vcpu].Release();
        if (vcpu != lastVcpu)
        {
            _locks[lastVcpu].Release();
        }
    }

    // What is pending when the guest changes the ABI stays pending.
    private void SavePending()
    {
        for (uint port = 1; port < _events.PortCount; port++)
        {
            ref EventPort entry = ref _events.Port(port);
            entry.Priority = EventChannelFifo.DefaultPriority;
            entry.LastQueue = 0;
            if (_events.IsPending(port) == 1)
            {
                entry.PendingWithoutWord = 1;
            }
        }
    }

    private void RaiseSaved(uint first)
    {
        uint end = System.Math.Min(_words, _events.PortCount);
        for (uint port = System.Math.Max(first, 1); port < end; port++)
        {
            ref EventPort entry = ref _events.Port(port);
            if (Volatile.Read(ref entry.PendingWithoutWord) == 0)
            {
                continue;
            }

            Volatile.Write(ref entry.PendingWithoutWord, (byte)0);
            Vcpu? vcpu = _domain.Vcpus[entry.NotifyVcpu];
            if (vcpu != null && entry.Binding.State is not (PortState.Free or PortState.Reserved))
            {
                SetPending(port, vcpu);
            }
        }
    }

    private bool HasWord(uint port) => port < Volatile.Read(ref _words);

    private ref uint Word(uint port) => ref PhysicalMemory.At<uint>(
        ((ulong)_arrayFrames[port / EventChannelFifo.WordsPerPage] << Cpu.PageShift) + port % EventChannelFifo.WordsPerPage * sizeof(uint));

    private static bool IsSet(ref uint word, int bit) => (Volatile.Read(ref word) >> bit & 1) != 0;
}
