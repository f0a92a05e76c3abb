using System.Runtime.CompilerServices;
using System.Threading;

namespace Blanket.Machine;

/// <summary>
/// A CPU's wait for another one, for a lock or a TLB flush. L0 may not run that other CPU just now: spinning would only take the time that it needs.
/// So a wait spins for <see cref="SpinTime"/> and then halts until it is woken. While it spins, and after each interrupt, the
/// CPU answers requests (<see cref="CpuRequests.Service"/>).
/// <para>
/// Use: look at the condition; <see cref="Turn"/>; when that is true, publish that somebody waits, look again, and <see cref="Halt"/> or
/// <see cref="Cancel"/>. Who makes the condition true looks for the published mark afterwards and calls <see cref="WakeAll"/>.
/// </para>
/// </summary>
public unsafe ref struct CpuWait
{
    /// <summary>How long a wait spins before it halts, ns: several times what a CPU that runs needs to answer.</summary>
    public const ulong SpinTime = 50_000;

#if METAL
    private readonly void* _cell;
    private ulong _haltAt;

    private CpuWait(void* cell)
    {
        _cell = cell;
        _haltAt = 0;
    }

    /// <summary>A wait for a change of a cell of the hypervisor's own memory.</summary>
    public static CpuWait For(ref uint cell) => new(Unsafe.AsPointer(ref cell));

    /// <summary>Spins a little and answers other CPUs.</summary>
    /// <returns>True when it is time to halt: this CPU is known as one that waits for the cell then.</returns>
    public bool Turn()
    {
        CpuRequests.Service();
        Cpu.Pause();
        ulong now = SystemTime.Now;
        if (_haltAt == 0)
        {
            _haltAt = now + SpinTime;
        }

        CpuBlock* block = Cpu.CurrentBlock();
        if (now < _haltAt || !CpuRequests.CanBeWoken(block))
        {
            return false;
        }

        Interlocked.Exchange(ref block->WaitsFor, (ulong)_cell);
        return true;
    }

    /// <summary>Halts until this CPU is woken or interrupted for another reason.</summary>
    public void Halt()
    {
        CpuBlock* block = Cpu.CurrentBlock();

        // Who asks for a flush may be the one that is waited for. Its interrupt ends the halt, unless it came before: then it is seen here.
        if (!CpuRequests.IsFlushWanted(block))
        {
            Cpu.WaitForInterrupt();
        }

        Cancel();
        CpuRequests.AcknowledgeFlush(block);
    }

    /// <summary>There is no need to halt.</summary>
    public void Cancel()
    {
        Volatile.Write(ref Cpu.CurrentBlock()->WaitsFor, 0UL);
        _haltAt = 0;
    }

    /// <summary>
    /// Ends the halts of all CPUs that wait for a cell. All, because the others would depend on L0 running the one that was chosen.
    /// </summary>
    public static void WakeAll(ref uint cell) => CpuRequests.WakeWaiting((ulong)Unsafe.AsPointer(ref cell));
#else
    /// <summary>A wait for a change of a cell; host tests spin.</summary>
    public static CpuWait For(ref uint cell) => default;

    /// <summary>Lets other threads run.</summary>
    public readonly bool Turn()
    {
        Cpu.Pause();
        return false;
    }

    /// <summary>Never called: <see cref="Turn"/> does not ask for it.</summary>
    public readonly void Halt()
    {
    }

    /// <summary>Never called: <see cref="Turn"/> does not ask for it.</summary>
    public readonly void Cancel()
    {
    }

    /// <summary>Nobody halts in host tests.</summary>
    public static void WakeAll(ref uint cell)
    {
    }
#endif
}
