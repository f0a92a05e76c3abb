using System.Runtime.CompilerServices;
using System.Threading;

namespace Blanket.Machine;

/// <summary>
/// A lock of 8 bytes. L1 runs with interrupts disabled, so holding one is never interrupted by L1 itself; but L0 may take the CPU away from
/// the holder or from one that waits, for milliseconds. Therefore the lock is not fair: whoever runs takes it, and nobody waits for a CPU that
/// is next in a line but does not run. Who waits for long gives the CPU back to L0 until the holder wakes it (<see cref="CpuWait"/>).
/// While a CPU waits it answers other CPUs' requests (TLB shoot-down), so that waiting cannot deadlock with them.
/// Held locks are recorded per CPU: their order is checked, and an abandoned handler's locks are known.
/// </summary>
public struct SpinLock
{
    private const uint Free = 0;
    private const uint Held = 1;
    private const uint HeldAndAwaited = 2;

    private const int ClassShift = 16;

    private uint _state;
    private readonly uint _rank;

    /// <summary>A free lock of a class.</summary>
    /// <param name="lockClass">Order and scope.</param>
    /// <param name="order">Place among the locks of the class, where several are taken at once: in rising order.</param>
    public SpinLock(LockClass lockClass, ushort order = 0)
    {
        _state = Free;
        _rank = ((uint)lockClass << ClassShift) | order;
    }

    /// <summary>Order and scope of the lock.</summary>
    public readonly LockClass Class => (LockClass)(_rank >> ClassShift);

    /// <summary>The class, and the place in it: a CPU takes locks in rising rank; locks of one rank may follow each other.</summary>
    internal readonly uint Rank => _rank;

    /// <summary>Whether somebody holds it; a hint unless the caller does.</summary>
    public readonly bool IsHeld => _state != Free;

    /// <summary>Waits for the lock and takes it.</summary>
    public void Acquire()
    {
        // Nothing is called here but in the last place: a lock that is free costs no saved registers.
        HeldLocks.Place place = HeldLocks.Next();
        if (!place.Allows(_rank) || Interlocked.CompareExchange(ref _state, Held, Free) != Free)
        {
            AcquireSlowly();
        }
        else
        {
            place.Push(ref this);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void AcquireSlowly()
    {
        Check.That(HeldLocks.Next().Allows(_rank));
        Wait();
        HeldLocks.Push(ref this);
    }

    /// <summary>Takes the lock if it is free; never waits.</summary>
    public bool TryAcquire()
    {
        if (Interlocked.CompareExchange(ref _state, Held, Free) != Free)
        {
            return false;
        }

        HeldLocks.Push(ref this);
        return true;
    }

    /// <summary>Lets others take the lock.</summary>
    public void Release()
    {
        HeldLocks.Pop(ref this);
        Unlock();
    }

    private void Wait()
    {
        CpuWait wait = CpuWait.For(ref _state);
        while (true)
        {
            if (Volatile.Read(ref _state) == Free && Interlocked.CompareExchange(ref _state, Held, Free) == Free)
            {
                return;
            }

            if (!wait.Turn())
            {
                continue;
            }

            // Published as one that halts: whoever releases from here on sees the mark, and then this CPU.
            if (Interlocked.Exchange(ref _state, HeldAndAwaited) == Free)
            {
                wait.Cancel();
                return;
            }

            wait.Halt();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Unlock()
    {
        if (Interlocked.Exchange(ref _state, Free) == HeldAndAwaited)
        {
            CpuWait.WakeAll(ref _state);
        }
    }
}
