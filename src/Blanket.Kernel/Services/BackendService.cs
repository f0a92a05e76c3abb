using System.Threading;
using Blanket.Backends;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel.Services;

/// <summary>The backends' place in the work of the CPUs.</summary>
internal sealed class BackendService : BackendHost
{
    private const int MaximumDevices = 2048;
    private static BackendService? s_instance;
    private static int s_hasWork;
    private readonly WakeTimer _timer = new();

    private BackendService()
    {
    }

    /// <summary>What backends and switches need of the hypervisor.</summary>
    internal static BackendHost Host => s_instance!;

    /// <summary>All backends.</summary>
    internal static BackendBus Bus { get; private set; } = null!;

    /// <summary>Makes the bus; once at boot, after the store, in an allocation scope.</summary>
    internal static void Initialize()
    {
        s_instance = new BackendService();
        Bus = new BackendBus(s_instance, StoreService.Client, MaximumDevices, Processors.OnlineCount);
    }

    /// <summary>Does the work that waits, if there is any.</summary>
    internal static void Process()
    {
        if (Volatile.Read(ref s_hasWork) != 0 && Interlocked.Exchange(ref s_hasWork, 0) != 0)
        {
            Bus.Process();
        }
    }

    /// <summary>The guest on whose rings a backend works, on this CPU; null for none.</summary>
    internal static Domain? ServedOnRings => s_instance == null ? null : Bus.Served;

    /// <inheritdoc/>
    public override bool MustGiveWay => PendingWork.Exists;

    /// <inheritdoc/>
    public override ulong Now => SystemTime.Now;

    /// <inheritdoc/>
    public override ulong LastKnown => CpuTime.Last;

    /// <inheritdoc/>
    public override void WorkArrived()
    {
        Volatile.Write(ref s_hasWork, 1);
        PendingWork.Raise();
    }

    /// <inheritdoc/>
    public override void WorkPutOff() => PendingWork.Raise();

    /// <inheritdoc/>
    public override void WakeAt(ulong nanoseconds)
    {
        if (!_timer.IsArmed || nanoseconds < _timer.Deadline)
        {
            Scheduler.Arm(_timer, nanoseconds);
        }
    }

    /// <inheritdoc/>
    public override Domain? Served => ServiceChannels.Served;

    /// <inheritdoc/>
    public override bool IsInTimeOfAnother(Domain guest) => Scheduler.Current is Vcpu current && current.Domain != guest;

    /// <inheritdoc/>
    public override void Charge(Domain guest, ulong from, ulong until) => Scheduler.Charge(guest, from, until);

    /// <inheritdoc/>
    public override void LockStore() => StoreService.Acquire();

    /// <inheritdoc/>
    public override void UnlockStore() => StoreService.Release();

    private sealed class WakeTimer : Timer
    {
        public override void Expired() => s_instance!.WorkArrived();
    }
}
