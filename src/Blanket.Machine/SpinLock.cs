using System.Runtime.CompilerServices;
using System.Threading;

namespace Blanket.Machine;

/// <summary>
/// A lock of 8 bytes. L1 runs with interrupts disabled, so holding one is never interrupted by L1 itself; but L0 may take the CPU away from
/// the holder or from one that waits, for milliseconds. Therefore the lock is not fair: whoever runs takes it, and nobody waits for a CPU that
/// is next in a line but does not run. Who waits for long gives the CPU back to L0 until the holder wakes it (<see cref="CpuWait"/>).
/// While a CPU waits it answers other CPUs' requests (TLB shoot-down), so that waiting cannot deadlock with them.
/// Held locks are recorded per CPU: order is checked in debug builds, and an abandoned handler's locks are known.
/// </summary>
public struct SpinLock
{
    private const uint Free = 0;
    private const uint Held = 1;
    private const uint HeldAndAwaited = 2;

    private uint _state;
    private readonly LockClass _class;

    /// <summary>A free lock of a class.</summary>
    public SpinLock(LockClass lockClass)
    {
        _state = Free;
        _class = lockClass;
    }

    /// <summary>Order and scope of the lock.</summary>
    public readonly LockClass Class => _class;

    /// <summary>Whether somebody holds it; a hint unless the caller does.</summary>
    public readonly bool IsHeld => _state != Free;

    /// <summary>Waits for the lock and takes it.</summary>
    public void Acquire()
    {
        HeldLocks.CheckOrder(_class);
        if (Interlocked.CompareExchange(ref _state, Held, Free) != Free)
        {
            Wait();
        }

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

    [MethodImpl(MethodImplOptions.NoInlining)]
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
