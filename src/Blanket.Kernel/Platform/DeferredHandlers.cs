using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>
/// Handlers that asked to run on this CPU after other pending work. Each CPU has its queue and no other touches it; a handler that
/// asks again while it runs gets its turn in the next round.
/// </summary>
internal sealed class DeferredHandlers : InterruptHandler
{
    /// <summary>The most different handlers that wait on one CPU.</summary>
    internal const int Capacity = 512;

    private static DeferredHandlers[] s_queues = null!;

    private readonly InterruptHandler?[] _waiting = new InterruptHandler?[Capacity];
    private int _count;

    /// <summary>Makes the queues of so many CPUs; once at boot, in an allocation scope.</summary>
    internal static void Initialize(int cpus)
    {
        s_queues = new DeferredHandlers[cpus];
        for (int i = 0; i < cpus; i++)
        {
            s_queues[i] = new DeferredHandlers();
        }

        InterruptVectors.Register(SystemVectors.Deferred, new Runner());
    }

    /// <summary>Puts a handler into this CPU's queue, unless it is there already. Takes no lock.</summary>
    internal static void RunLater(InterruptHandler handler)
    {
        DeferredHandlers queue = s_queues[Cpu.Number];
        for (int i = 0; i < queue._count; i++)
        {
            if (queue._waiting[i] == handler)
            {
                return;
            }
        }

        Check.That(queue._count < Capacity);
        queue._waiting[queue._count++] = handler;
        SoftwareInterrupt.Raise(SystemVectors.Deferred);
    }

    /// <summary>Runs what waits now.</summary>
    public override void Handle()
    {
        int count = _count;
        for (int i = 0; i < count; i++)
        {
            InterruptHandler handler = _waiting[0]!;
            _count--;
            for (int next = 0; next < _count; next++)
            {
                _waiting[next] = _waiting[next + 1];
            }

            _waiting[_count] = null;
            handler.Handle();
        }

        if (_count != 0)
        {
            SoftwareInterrupt.Raise(SystemVectors.Deferred);
        }
    }

    private sealed class Runner : InterruptHandler
    {
        public override void Handle() => s_queues[Cpu.Number].Handle();
    }
}
