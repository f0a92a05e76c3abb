using System;
using System.Threading;
using Blanket.Core.Domains;
using Blanket.Machine;
using Blanket.Store;

namespace Blanket.Backends;

/// <summary>
/// All backends of the machine. Watches and interrupts only note that there is news for a device; it is acted upon in
/// <see cref="Process"/>, which the exit path calls with no lock held.
/// </summary>
public sealed class BackendBus
{
    /// <summary>No time at all: nothing has to be woken for.</summary>
    public const ulong Never = ulong.MaxValue;

    /// <summary>Turns that one call gives before the rest is put off: workers can keep each other busy.</summary>
    private const int TurnsPerCall = 64;

    /// <summary>Nanoseconds for which vCPUs that come and go may keep work that was put off from its turn.</summary>
    private const ulong TurnPatience = 500_000;

    private readonly BackendDevice?[] _devices;
    private readonly CpuWorkers[] _workers;
    private readonly BackendHost _host;
    private SpinLock _lock;

    // No device is in a slot from here on.
    private int _end;
    private int _signals;

    /// <summary>No devices.</summary>
    /// <param name="host">The hypervisor around.</param>
    /// <param name="store">The backends' connection to xenstore, as the domain <see cref="Abi.Xen.DomainId.Services"/>.</param>
    /// <param name="maximumDevices">The most devices of all guests.</param>
    /// <param name="cpus">CPUs of the machine.</param>
    public BackendBus(BackendHost host, StoreClient store, int maximumDevices, int cpus)
    {
        _workers = new CpuWorkers[cpus];
        for (int i = 0; i < cpus; i++)
        {
            _workers[i] = new CpuWorkers();
        }

        _host = host;
        Store = new BackendStore(host, store);
        _devices = new BackendDevice?[maximumDevices];
        _lock = new SpinLock(LockClass.Backend);
    }

    /// <summary>Nanoseconds of a clock that never goes back.</summary>
    internal ulong Now => _host.Now;

    /// <summary>Whether a wake time has come; the clock is not read for <see cref="Never"/>.</summary>
    internal bool IsDue(ulong wakeTime) => wakeTime != Never && wakeTime <= Now;

    /// <summary>Whether workers should end their turn soon, because others wait for this CPU.</summary>
    internal bool MustGiveWay => _host.MustGiveWay;

    /// <summary>When work that was put off on this CPU is to have its turn, whatever else there is; <see cref="Never"/> while there is none.</summary>
    public ulong TurnDue => _workers[Cpu.Number].TurnDue;

    /// <summary>The guest on whose rings this CPU works; null while it works on none.</summary>
    public Domain? Served => _workers[Cpu.Number].Running?.Guest;

    /// <summary>Whether the worker that is at work on this CPU, if there is one, has not failed before: then its rings can be closed without its guest's help.</summary>
    public bool CanCloseRings => _workers[Cpu.Number].Running is { WasAbandoned: false };

    /// <summary>The connection to xenstore.</summary>
    internal BackendStore Store { get; }

    /// <summary>Does what waits to be done for any device.</summary>
    public void Process()
    {
        CheckAbandoned();
        if (Interlocked.Increment(ref _signals) != 1)
        {
            return;
        }

        ulong wake = Never;
        int end = Volatile.Read(ref _end);
        for (int i = 0; i < end; i++)
        {
            BackendDevice? device = Volatile.Read(ref _devices[i]);
            if (device != null)
            {
                device.Process();
                wake = Math.Min(wake, device.WakeTime);
            }
        }

        if (wake != Never)
        {
            _host.WakeAt(wake);
        }

        // Others that came meanwhile have left again: their news is looked at in another call.
        if (Interlocked.Exchange(ref _signals, 0) != 1)
        {
            _host.WorkArrived();
        }
    }

    /// <summary>Gives those that were put off on this CPU a turn each, until something else goes before them. The exit path calls it.</summary>
    public void TakeTurn()
    {
        CpuWorkers workers = _workers[Cpu.Number];
        CheckAbandoned();
        for (int i = 0; i < TurnsPerCall && !workers.PutOff.IsEmpty; i++)
        {
            Turn(workers, workers.PutOff.Take());
            RunReady(workers);
            if (_host.MustGiveWay)
            {
                break;
            }
        }

        workers.TurnDue = Never;
        if (!workers.PutOff.IsEmpty)
        {
            workers.TurnDue = Now + TurnPatience;
            _host.WorkPutOff();
        }
    }

    /// <summary>
    /// Has a worker do its work on this CPU before the outermost call on it returns, or as much as may be done at once. Workers do not run inside
    /// each other: the stack is small.
    /// </summary>
    internal void Run(SerialWorker worker)
    {
        CpuWorkers workers = _workers[Cpu.Number];

        // Who causes work pays for it: who sends floods must not cost those who receive them.
        worker.Payer = workers.Running?.Payer ?? _host.Served ?? worker.Guest;
        workers.Ready.Add(worker);
        if (workers.Running == null)
        {
            RunReady(workers);
        }
    }

    /// <summary>
    /// To be called where no worker can be at work below in the stack: on the exit path. If one seems to be, the handler that ran it was abandoned.
    /// </summary>
    internal void CheckAbandoned()
    {
        CpuWorkers workers = _workers[Cpu.Number];
        SerialWorker? abandoned = workers.Running;
        if (abandoned != null)
        {
            workers.Running = null;
            Log.Line("a backend's handler was abandoned; its rings are closed"u8).End();
            abandoned.Abandoned();
        }
    }

    /// <summary>Asks for <see cref="Process"/> to be called.</summary>
    internal void RequestProcess() => _host.WorkArrived();

    /// <summary>Takes a device in; false when there are too many.</summary>
    internal bool TryAdd(BackendDevice device)
    {
        _lock.Acquire();
        int slot = -1;
        for (int i = 0; i < _devices.Length && slot < 0; i++)
        {
            if (_devices[i] == null)
            {
                slot = i;
                Volatile.Write(ref _devices[i], device);
                Volatile.Write(ref _end, Math.Max(_end, i + 1));
            }
        }

        _lock.Release();
        return slot >= 0;
    }

    /// <summary>Forgets a device; only from within <see cref="Process"/>.</summary>
    internal void Remove(BackendDevice device)
    {
        _lock.Acquire();
        for (int i = 0; i < _devices.Length; i++)
        {
            if (_devices[i] == device)
            {
                Volatile.Write(ref _devices[i], null);
            }
        }

        _lock.Release();
    }

    private void RunReady(CpuWorkers workers)
    {
        for (int i = 0; i < TurnsPerCall && !workers.Ready.IsEmpty; i++)
        {
            Turn(workers, workers.Ready.Take());
        }

        while (!workers.Ready.IsEmpty)
        {
            PutOff(workers, workers.Ready.Take());
        }
    }

    private void Turn(CpuWorkers workers, SerialWorker worker)
    {
        // From the end of its work on the worker may be gone.
        Domain payer = worker.Payer;
        bool isCharged = _host.IsInTimeOfAnother(payer);
        ulong start = isCharged ? Now : 0;
        workers.Running = worker;
        bool hasMore = worker.Work();
        workers.Running = null;
        if (isCharged)
        {
            _host.Charge(payer, start, Now);
        }

        if (hasMore)
        {
            PutOff(workers, worker);
        }
    }

    private void PutOff(CpuWorkers workers, SerialWorker worker)
    {
        if (workers.PutOff.IsEmpty)
        {
            workers.TurnDue = Now + TurnPatience;
        }

        // Others may be gone until its turn.
        worker.Payer = worker.Guest;
        workers.PutOff.Add(worker);
        _host.WorkPutOff();
    }

    /// <summary>The workers that have to run on a CPU. Only that CPU touches it.</summary>
    private sealed class CpuWorkers
    {
        /// <summary>Those that were kicked, and run before the outermost call returns.</summary>
        internal ReadyWorkers Ready { get; } = new();

        /// <summary>Those that have had a turn and want another.</summary>
        internal ReadyWorkers PutOff { get; } = new();

        /// <summary>When they are to have one; <see cref="Never"/> while there are none.</summary>
        internal ulong TurnDue { get; set; } = Never;

        /// <summary>The worker that is at work, below in the stack; null for none.</summary>
        internal SerialWorker? Running { get; set; }
    }
}
