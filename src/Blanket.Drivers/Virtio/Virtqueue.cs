using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio;

/// <summary>Buffers of one request while they are put into a <see cref="Virtqueue"/>.</summary>
internal struct DescriptorChain
{
    /// <summary>The request's name in the ring: the id that the device gives back.</summary>
    public ushort Head;
    internal ushort Current;
    internal ushort Last;
    internal ushort Count;
    internal ushort Position;
    internal uint Writable;
    internal ulong Table;
}

/// <summary>
/// A split virtqueue (virtio 1.2, 2.7). All ring state that matters is kept outside the shared memory: nothing that the device
/// writes there is believed beyond one checked copy. Methods are called with <see cref="Lock"/> held unless they say otherwise.
/// Nothing allocates after the constructor; every operation takes constant time per buffer.
/// </summary>
internal sealed class Virtqueue
{
    private const ushort FlagNext = 1;
    private const ushort FlagWrite = 2;
    private const ushort FlagIndirect = 4;
    private const ushort AvailableNoInterrupt = 1;
    private const ushort UsedNoNotify = 1;
    private const uint DescriptorSize = 16;
    private const uint UsedElementSize = 8;
    private const uint RingHeaderSize = 4;

    [StructLayout(LayoutKind.Sequential)]
    private struct Descriptor
    {
        public ulong Address;
        public uint Length;
        public ushort Flags;
        public ushort Next;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct UsedElement
    {
        public uint Id;
        public uint Length;
    }

    private readonly VirtioHealth _health;
    private readonly ushort _mask;
    private readonly ulong _memory;
    private readonly uint _memorySize;
    private readonly ulong _availableRing;
    private readonly ulong _usedRing;
    private readonly ulong _tables;
    private readonly int _tableCapacity;
    private readonly bool _hasEventIndex;
    private readonly bool _trustsLength;

    // Free descriptors are chained through _next; _count is 0 for an id that heads no request in flight.
    private readonly ushort[] _next;
    private readonly ushort[] _last;
    private readonly ushort[] _count;
    private readonly uint[] _writable;
    private ushort _freeHead;
    private int _freeCount;
    private int _inFlight;

    // Ring indexes run from 0 to 65535 and wrap around (2.7.6, 2.7.8).
    private ushort _availableIndex;
    private ushort _publishedIndex;
    private ushort _usedIndex;
    private ulong _completed;
    private bool _isRunning;

    /// <summary>Protects the queue, and what its driver keeps by request id.</summary>
    public SpinLock Lock;

    /// <summary>A stopped queue with all descriptors free.</summary>
    public Virtqueue(in VirtqueueLayout layout, VirtioHealth health, ulong memory, ulong tables, LockClass lockClass)
    {
        Lock = new SpinLock(lockClass);
        _health = health;
        Index = layout.Index;
        Size = layout.Size;
        Capacity = layout.Capacity;
        _mask = (ushort)(layout.Size - 1);
        _memory = memory;
        _memorySize = layout.RingBytes;
        _availableRing = memory + layout.AvailableOffset;
        _usedRing = memory + layout.UsedOffset;
        _tables = tables;
        _tableCapacity = layout.TableCapacity;
        _hasEventIndex = layout.HasEventIndex;
        _trustsLength = layout.HasTrueLengths;
        _next = new ushort[Capacity];
        _last = new ushort[Capacity];
        _count = new ushort[Capacity];
        _writable = new uint[Capacity];
        Clear();
    }

    /// <summary>The device's number of the queue.</summary>
    public ushort Index { get; }

    /// <summary>Entries of the ring, a power of two.</summary>
    public ushort Size { get; }

    /// <summary>Descriptors that are used at once, at most <see cref="Size"/>; request ids are below it.</summary>
    public int Capacity { get; }

    /// <summary>Where the transport notifies the device of this queue.</summary>
    public uint NotifyOffset { get; set; }

    /// <summary>Physical addresses of the three parts.</summary>
    public ulong DescriptorAddress => _memory;

    public ulong AvailableAddress => _availableRing;

    public ulong UsedAddress => _usedRing;

    /// <summary>Requests that the device has and has not given back.</summary>
    public int InFlight => _inFlight;

    /// <summary>Descriptors that are free.</summary>
    public int FreeDescriptors => _freeCount;

    /// <summary>Whether requests may be added; false after a fault and during a reset.</summary>
    public bool IsRunning => _isRunning;

    /// <summary>Requests completed since the queue was made.</summary>
    public ulong Completed => _completed;

    /// <summary>The most buffers of one request.</summary>
    public int MaximumBuffers => Math.Max(_tableCapacity, Capacity);

    /// <summary>Lets requests in.</summary>
    public void Start() => _isRunning = true;

    /// <summary>Lets no more requests in or out.</summary>
    public void Stop() => _isRunning = false;

    /// <summary>Forgets everything; only while the device does not know the queue (after a reset).</summary>
    public void Clear()
    {
        PhysicalMemory.Bytes(_memory, (int)_memorySize).Clear();
        for (int i = 0; i < Capacity; i++)
        {
            _next[i] = (ushort)(i + 1);
            _count[i] = 0;
        }

        _freeHead = 0;
        _freeCount = Capacity;
        _inFlight = 0;
        _availableIndex = 0;
        _publishedIndex = 0;
        _usedIndex = 0;
        _isRunning = false;
    }

    /// <summary>Begins a request of so many buffers; exactly so many are appended, device-readable ones first (2.7.4.2).</summary>
    /// <returns>False when there is no room.</returns>
    public bool TryBegin(int buffers, out DescriptorChain chain)
    {
        chain = default;
        bool isIndirect = buffers > 1 && buffers <= _tableCapacity;
        int needed = isIndirect ? 1 : buffers;
        if (!_isRunning || buffers <= 0 || needed > _freeCount)
        {
            return false;
        }

        chain.Head = _freeHead;
        chain.Current = _freeHead;
        chain.Count = (ushort)buffers;
        chain.Table = isIndirect ? _tables + (ulong)_freeHead * (uint)_tableCapacity * DescriptorSize : 0;
        return true;
    }

    /// <summary>Appends a buffer.</summary>
    /// <param name="chain">The request.</param>
    /// <param name="address">Physical address.</param>
    /// <param name="length">Bytes, at least 1; all that the device writes together stay below 4 GiB.</param>
    /// <param name="deviceWrites">Whether the device writes it rather than reads it.</param>
    public void Append(ref DescriptorChain chain, ulong address, uint length, bool deviceWrites)
    {
        Check.That(chain.Position < chain.Count);
        bool isLast = chain.Position + 1 == chain.Count;
        ushort flags = (ushort)((isLast ? 0 : FlagNext) | (deviceWrites ? FlagWrite : 0));
        chain.Writable += deviceWrites ? length : 0;
        if (chain.Table != 0)
        {
            WriteDescriptor(chain.Table + chain.Position * DescriptorSize, address, length, flags, (ushort)(chain.Position + 1));
        }
        else
        {
            ushort next = _next[chain.Current];
            WriteDescriptor(_memory + chain.Current * DescriptorSize, address, length, flags, next);
            chain.Last = chain.Current;
            chain.Current = next;
        }

        chain.Position++;
    }

    /// <summary>Appends buffers, each as <see cref="Append(ref DescriptorChain, ulong, uint, bool)"/> does.</summary>
    public void Append(ref DescriptorChain chain, ReadOnlySpan<DmaSegment> buffers, bool deviceWrites)
    {
        if (chain.Table == 0)
        {
            for (int i = 0; i < buffers.Length; i++)
            {
                Append(ref chain, buffers[i].Address, buffers[i].Length, deviceWrites);
            }

            return;
        }

        Check.That(buffers.Length <= chain.Count - chain.Position);
        Span<Descriptor> table = MemoryMarshal.Cast<byte, Descriptor>(
            PhysicalMemory.Bytes(chain.Table + chain.Position * DescriptorSize, buffers.Length * (int)DescriptorSize));
        int position = chain.Position;
        uint bytes = 0;
        ushort flags = (ushort)(FlagNext | (deviceWrites ? FlagWrite : 0));
        for (int i = 0; i < buffers.Length && i < table.Length; i++)
        {
            position++;
            bytes += buffers[i].Length;
            table[i] = new Descriptor
            {
                Address = buffers[i].Address,
                Length = buffers[i].Length,
                Flags = position == chain.Count ? (ushort)(flags & ~FlagNext) : flags,
                Next = (ushort)position,
            };
        }

        chain.Position = (ushort)position;
        chain.Writable += deviceWrites ? bytes : 0;
    }

    /// <summary>Puts the finished request into the available ring; the device sees it at <see cref="Publish"/>.</summary>
    public void Add(ref DescriptorChain chain)
    {
        Check.That(chain.Position == chain.Count && _count[chain.Head] == 0);
        ushort head = chain.Head;
        int taken = chain.Count;
        if (chain.Table != 0)
        {
            WriteDescriptor(_memory + head * DescriptorSize, chain.Table, chain.Count * DescriptorSize, FlagIndirect, 0);
            taken = 1;
            chain.Last = head;
        }

        _freeHead = _next[chain.Last];
        _freeCount -= taken;
        _last[head] = chain.Last;
        _count[head] = (ushort)taken;
        _writable[head] = chain.Writable;
        _inFlight++;
        PhysicalMemory.Write(_availableRing + RingHeaderSize + (uint)(_availableIndex & _mask) * 2, head);
        _availableIndex = unchecked((ushort)(_availableIndex + 1));
    }

    /// <summary>Shows the device all requests that were added.</summary>
    /// <returns>Whether it wants to be notified of them (2.7.10.1).</returns>
    public bool Publish()
    {
        ushort old = _publishedIndex;
        if (_availableIndex == old || !_isRunning)
        {
            return false;
        }

        // The store is a release: the device sees descriptors and ring entries before the index (2.7.13.3).
        Volatile.Write(ref PhysicalMemory.At<ushort>(_availableRing + 2), _availableIndex);
        _publishedIndex = _availableIndex;
        Interlocked.MemoryBarrier();
        if (!_hasEventIndex)
        {
            return (Volatile.Read(ref PhysicalMemory.At<ushort>(_usedRing)) & UsedNoNotify) == 0;
        }

        ushort wanted = Volatile.Read(ref PhysicalMemory.At<ushort>(_usedRing + RingHeaderSize + Size * UsedElementSize));
        return unchecked((ushort)(_availableIndex - wanted - 1) < (ushort)(_availableIndex - old));
    }

    /// <summary>Takes a request that the device is done with.</summary>
    /// <param name="head">Its id.</param>
    /// <param name="length">Bytes that the device says it wrote; uint.MaxValue when that is more than it could have.</param>
    /// <returns>False when there is none, or when the device broke the ring: then it is to be reset.</returns>
    public bool TryTakeUsed(out ushort head, out uint length)
    {
        head = 0;
        length = 0;
        if (!_isRunning)
        {
            return false;
        }

        ushort waiting = unchecked((ushort)(ReadUsedIndex() - _usedIndex));
        if (waiting == 0)
        {
            return false;
        }

        // Only what was published and not yet taken can have been used.
        if (waiting > unchecked((ushort)(_publishedIndex - _usedIndex)))
        {
            return Break(VirtioFault.UsedIndexJump, waiting);
        }

        UsedElement element = ReadUsedElement(_usedIndex);
        if (element.Id >= (uint)Capacity)
        {
            return Break(VirtioFault.IdOutOfRange, element.Id);
        }

        head = (ushort)element.Id;
        if (_count[head] == 0)
        {
            return Break(VirtioFault.IdNotInFlight, element.Id);
        }

        length = element.Length > _writable[head] && _trustsLength ? uint.MaxValue : Math.Min(element.Length, _writable[head]);
        Free(head);
        _usedIndex = unchecked((ushort)(_usedIndex + 1));
        _completed++;
        return true;
    }

    /// <summary>Whether the device has given something back that was not taken. Needs no lock: a hint.</summary>
    public bool HasUsed => ReadUsedIndex() != _usedIndex;

    /// <summary>Asks for no more interrupts; a hint to the device (2.7.7.1).</summary>
    public void SuppressInterrupts()
    {
        // With an event index, one that has been passed is asked for only a full round later: nothing to do.
        if (!_hasEventIndex)
        {
            Volatile.Write(ref PhysicalMemory.At<ushort>(_availableRing), AvailableNoInterrupt);
        }
    }

    /// <summary>Asks for an interrupt when the device gives the next request back.</summary>
    /// <returns>False when one came meanwhile: take it, no interrupt may follow.</returns>
    public bool TryRequestInterrupt() => TryRequestInterrupt(0);

    /// <summary>Asks for an interrupt when three quarters of what is in flight have come back: completions that nobody waits for.</summary>
    public bool TryRequestDelayedInterrupt() => TryRequestInterrupt((ushort)(_inFlight - (_inFlight + 3) / 4));

    /// <summary>Finds a request in flight, from an id on; for the driver to give it up while the queue is stopped.</summary>
    public bool TryFindInFlight(ref int from, out ushort head)
    {
        for (; from < Capacity; from++)
        {
            if (_count[from] != 0)
            {
                head = (ushort)from++;
                return true;
            }
        }

        head = 0;
        return false;
    }

    private bool TryRequestInterrupt(ushort delay)
    {
        if (!_isRunning)
        {
            return true;
        }

        if (_hasEventIndex)
        {
            PhysicalMemory.Write(_availableRing + RingHeaderSize + Size * 2u, unchecked((ushort)(_usedIndex + delay)));
        }
        else
        {
            delay = 0;
            PhysicalMemory.Write<ushort>(_availableRing, 0);
        }

        // The request must be visible before the index is looked at again, or a completion in between raises no interrupt.
        Interlocked.MemoryBarrier();
        return unchecked((ushort)(ReadUsedIndex() - _usedIndex)) <= delay;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ushort ReadUsedIndex() => Volatile.Read(ref PhysicalMemory.At<ushort>(_usedRing + 2));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private UsedElement ReadUsedElement(ushort index) =>
        PhysicalMemory.Read<UsedElement>(_usedRing + RingHeaderSize + (uint)(index & _mask) * UsedElementSize);

    private void Free(ushort head)
    {
        _next[_last[head]] = _freeHead;
        _freeHead = head;
        _freeCount += _count[head];
        _count[head] = 0;
        _inFlight--;
    }

    /// <summary>Stops the queue for good and has the device reset: the ring cannot be trusted any more. Always false.</summary>
    public bool Break(VirtioFault fault, uint detail)
    {
        _isRunning = false;
        _health.Break(fault, Index, detail);
        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteDescriptor(ulong at, ulong address, uint length, ushort flags, ushort next)
    {
        ref Descriptor descriptor = ref PhysicalMemory.At<Descriptor>(at);
        descriptor.Address = address;
        descriptor.Length = length;
        descriptor.Flags = flags;
        descriptor.Next = next;
    }
}
