using System.Threading;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// Frames whose last reference is gone, but which a TLB may still translate to. They are flushed for in groups,
/// scrubbed, and only then given to the allocator.
/// </summary>
public static class FrameQuarantine
{
    private const int MaximumWaiting = 256;

    private static Machine.SpinLock s_lock;
    private static uint s_head = FrameInfo.None;
    private static int s_waiting;

    /// <summary>Starts empty; once at boot.</summary>
    public static void Initialize()
    {
        s_lock = new Machine.SpinLock(LockClass.FrameAllocator);
        s_head = FrameInfo.None;
        s_waiting = 0;
    }

    /// <summary>Frames that wait.</summary>
    public static int Waiting => Volatile.Read(ref s_waiting);

    /// <summary>Puts a frame in that nobody refers to any more.</summary>
    internal static void Add(ulong frame, ref FrameInfo info)
    {
        s_lock.Acquire();
        info.Next = s_head;
        s_head = (uint)frame;
        bool full = ++s_waiting >= MaximumWaiting;
        s_lock.Release();
        if (full)
        {
            Drain();
        }
    }

    /// <summary>Frees everything that waits. Operations that may have dropped last references call this when they are done.</summary>
    public static void Drain()
    {
        if (Volatile.Read(ref s_waiting) != 0)
        {
            DrainWaiting();
        }
    }

    private static void DrainWaiting()
    {
        s_lock.Acquire();
        uint frame = s_head;
        s_head = FrameInfo.None;
        s_waiting = 0;
        ulong since = TlbClock.Now;
        s_lock.Release();

        TlbFlush.BeforeOwnerChange(since);
        while (frame != FrameInfo.None)
        {
            uint next = FrameTable.Of(frame).Next;
            PhysicalMemory.ZeroFrame(frame);
            FrameAllocator.Free(frame);
            frame = next;
        }
    }
}
