using System.Runtime.CompilerServices;

namespace Blanket.Machine;

/// <summary>
/// Structures addressed by index, grown by whole frames up to a stated maximum; what guests make the hypervisor remember lives in slabs.
/// Not locked: the owner's lock covers it. Indexes are stable; index 0 is valid. A freed entry is zeroed.
/// </summary>
/// <typeparam name="T">At most a frame in size.</typeparam>
public sealed unsafe class Slab<T> where T : unmanaged
{
    private const int NoEntry = -1;
    private readonly ulong[] _frames;
    private readonly int _maximum;
    private int _frameCount;
    private int _freeHead = NoEntry;
    private int _used;

    // Free entries are chained through their first four bytes; bit i of the occupancy map tells which are in use.
    private readonly ulong[] _occupied;

    /// <summary>An empty slab.</summary>
    /// <param name="maximumCount">The most entries that it will ever hold.</param>
    public Slab(int maximumCount)
    {
        Check.That(sizeof(T) >= sizeof(int) && sizeof(T) <= Cpu.PageSize && maximumCount > 0);
        _maximum = maximumCount;
        _frames = new ulong[(maximumCount + PerFrame - 1) / PerFrame];
        _occupied = new ulong[(maximumCount + 63) / 64];
    }

    /// <summary>Entries in use.</summary>
    public int Used => _used;

    /// <summary>The most entries that it will ever hold.</summary>
    public int Maximum => _maximum;

    /// <summary>Frames that it occupies.</summary>
    public int Frames => _frameCount;

    // A constant of each instantiation, so that nothing is divided at run time.
    private static int PerFrame => Cpu.PageSize / sizeof(T);

    /// <summary>The entry at an index in use; any other index abandons the handler.</summary>
    public ref T this[int index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if ((uint)index >= (uint)_maximum || !IsOccupied(index))
            {
                Check.Fail();
            }

            return ref Entry(index);
        }
    }

    /// <summary>Takes a zeroed entry; false when the maximum is reached or memory is out.</summary>
    public bool TryAllocate(out int index)
    {
        index = _freeHead;
        if (index == NoEntry)
        {
            if (!TryGrow())
            {
                return false;
            }

            index = _freeHead;
        }

        ref T entry = ref Entry(index);
        _freeHead = Unsafe.As<T, int>(ref entry);
        entry = default;
        _occupied[index >> 6] |= 1UL << (index & 63);
        _used++;
        return true;
    }

    /// <summary>Gives an entry in use back.</summary>
    public void Free(int index)
    {
        ref T entry = ref this[index];
        entry = default;
        Unsafe.As<T, int>(ref entry) = _freeHead;
        _freeHead = index;
        _occupied[index >> 6] &= ~(1UL << (index & 63));
        _used--;
    }

    /// <summary>Whether an index is in use; false for one that cannot be.</summary>
    public bool Contains(int index) => (uint)index < (uint)_maximum && IsOccupied(index);

    /// <summary>Returns all frames to the allocator; the slab is empty afterwards.</summary>
    public void Clear()
    {
        for (int i = 0; i < _frameCount; i++)
        {
            PhysicalMemory.ZeroFrame(_frames[i]);
            FrameAllocator.Free(_frames[i]);
        }

        for (int i = 0; i < _occupied.Length; i++)
        {
            _occupied[i] = 0;
        }

        TableFrames.Remove(_frameCount);
        _frameCount = 0;
        _freeHead = NoEntry;
        _used = 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool IsOccupied(int index) => (_occupied[index >> 6] & (1UL << (index & 63))) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref T Entry(int index)
    {
        int frame = (int)((uint)index / (uint)PerFrame);
        ulong address = (_frames[frame] << Cpu.PageShift) + (ulong)((index - frame * PerFrame) * sizeof(T));
        return ref PhysicalMemory.At<T>(address);
    }

    private bool TryGrow()
    {
        int first = _frameCount * PerFrame;
        if (first >= _maximum || !FrameAllocator.TryAllocateZeroed(out ulong frame))
        {
            return false;
        }

        TableFrames.Add();
        _frames[_frameCount++] = frame;
        int end = System.Math.Min(first + PerFrame, _maximum);
        for (int index = end - 1; index >= first; index--)
        {
            Unsafe.As<T, int>(ref Entry(index)) = _freeHead;
            _freeHead = index;
        }

        return true;
    }
}
