using System.Runtime.CompilerServices;
using System.Threading;

namespace Blanket.Machine;

/// <summary>
/// A fair lock of 8 bytes. L1 runs with interrupts disabled, so holding one is never interrupted;
/// while a CPU waits it answers other CPUs' requests (TLB shoot-down), so that waiting cannot deadlock with them.
/// Held locks are recorded per CPU: order is checked in debug builds, and an abandoned handler's locks are known.
/// </summary>
public struct SpinLock
{
    private uint _next;
    private uint _serving;
    private readonly LockClass _class;

    /// <summary>A free lock of a class.</summary>
    public SpinLock(LockClass lockClass)
    {
        _next = 0;
        _serving = 0;
        _class = lockClass;
    }

    /// <summary>Order and scope of the lock.</summary>
    public readonly LockClass Class => _class;

    /// <summary>Whether somebody holds it; a hint unless the caller does.</summary>
    public readonly bool IsHeld => _next != _serving;

    /// <summary>Waits for the lock and takes it.</summary>
    public void Acquire()
    {
        HeldLocks.CheckOrder(_class);
        uint ticket = unchecked(Interlocked.Increment(ref _next) - 1);
        if (Volatile.Read(ref _serving) != ticket)
        {
            Wait(ticket);
        }

        HeldLocks.Push(ref this);
    }

    /// <summary>Takes the lock if it is free; never waits.</summary>
    public bool TryAcquire()
    {
        uint serving = Volatile.Read(ref _serving);
        if (Interlocked.CompareExchange(ref _next, unchecked(serving + 1), serving) != serving)
        {
            return false;
        }

        HeldLocks.Push(ref this);
        return true;
    }

    /// <summary>Gives the lock to the next in line.</summary>
    public void Release()
    {
        HeldLocks.Pop(ref this);
        Unlock();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Wait(uint ticket)
    {
        while (Volatile.Read(ref _serving) != ticket)
        {
            CpuRequests.Service();
            Cpu.Pause();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Unlock() => Volatile.Write(ref _serving, unchecked(_serving + 1));
}
