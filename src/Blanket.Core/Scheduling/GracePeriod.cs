using System.Threading;
using Blanket.Machine;

namespace Blanket.Core.Scheduling;

/// <summary>
/// Waiting until no CPU can still use a record that it found without a lock (domains by <see cref="Memory.FrameOwners"/>, vCPUs, timers and
/// handlers that are just being called). The rule: such references live at most as long as a handler, and a CPU whose stack is empty
/// has none. So a record is made unfindable first, then <see cref="Begin"/>, and freed when <see cref="IsOver"/>.
/// </summary>
public static class GracePeriod
{
    private static ulong s_latest;
    private static ulong[]? s_passed;
    private static int s_cpus;

    /// <summary>For so many CPUs; once at boot, in an allocation scope.</summary>
    public static void Initialize(int cpus)
    {
        s_latest = 0;
        s_cpus = cpus;
        s_passed = new ulong[cpus];
    }

    /// <summary>Starts a grace period for everything that has been made unfindable up to now, and prompts all CPUs.</summary>
    /// <returns>Its number, for <see cref="IsOver"/>.</returns>
    public static ulong Begin()
    {
        ulong number = Interlocked.Increment(ref s_latest);
        for (int cpu = 0; cpu < s_cpus; cpu++)
        {
            Scheduler.Prompt(cpu);
        }

        return number;
    }

    /// <summary>Whether every CPU has had an empty stack since the beginning.</summary>
    public static bool IsOver(ulong number)
    {
        for (int cpu = 0; cpu < s_cpus; cpu++)
        {
            if (Volatile.Read(ref s_passed![cpu]) < number)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>This CPU has no reference to anything: the work loop calls this, with nothing on the stack.</summary>
    /// <returns>Whether that may end a grace period.</returns>
    public static bool Pass()
    {
        ref ulong passed = ref s_passed![Cpu.Number];
        ulong latest = Volatile.Read(ref s_latest);
        if (passed == latest)
        {
            return false;
        }

        Volatile.Write(ref passed, latest);
        return true;
    }
}
