using System.Threading;

namespace Blanket.Machine;

/// <summary>Work that waits for this CPU until the running handler is done: device interrupts, timers, scheduling.</summary>
public static unsafe class PendingWork
{
#if METAL
    /// <summary>Lets interrupts in for an instant (their stubs only record the vector), then tells whether anything waits.</summary>
    public static bool Exists
    {
        get
        {
            Cpu.AllowPendingInterrupts();
            return Volatile.Read(ref Cpu.CurrentBlock()->WorkPending) != 0;
        }
    }

    /// <summary>Asks the exit path of this CPU to look for work before the guest goes on.</summary>
    public static void Raise() => Volatile.Write(ref Cpu.CurrentBlock()->WorkPending, 1u);
#else
    /// <summary>Set by host tests that want operations preempted.</summary>
    [System.ThreadStatic]
    public static bool Exists;

    public static void Raise() => Exists = true;
#endif
}
