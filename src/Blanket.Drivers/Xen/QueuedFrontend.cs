using System;
using System.Threading;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>
/// A frontend with queues, each with an event channel. A connection uses as many of them as the backend takes; a client's queue beyond
/// that is served by one of these, so that the client's number of queues never changes.
/// </summary>
public abstract class QueuedFrontend : XenbusFrontend
{
    /// <summary>The most queues of a device: each holds grant references, whether it is busy or not.</summary>
    protected const int MaximumQueues = 4;

    /// <summary>Both halves' name of the number of queues that a backend takes, for <see cref="XenbusFrontend.OfferNames"/>.</summary>
    private static ReadOnlySpan<byte> QueueLimitName => "multi-queue-max-queues"u8;

    private readonly uint[] _ports = new uint[MaximumQueues];
    private readonly QueueWork[] _work = new QueueWork[MaximumQueues];
    private int _queueCount;
    private int _activeQueues;
    private int _openPorts;
    private int _isRecovering;
    private bool _isFailed;

    private protected QueuedFrontend(XenTransport xen, FrontendKind kind, uint deviceId)
        : base(xen, kind == FrontendKind.Block ? "vbd"u8 : "vif"u8, deviceId)
    {
        Health = new FrontendHealth(kind, deviceId);
        for (int i = 0; i < MaximumQueues; i++)
        {
            _work[i] = new QueueWork(this, i);
        }
    }

    /// <summary>Queues of the client.</summary>
    public int QueueCount => _queueCount;

    /// <summary>No backend serves the device: what it is asked for ends with errors.</summary>
    public bool IsFailed => Volatile.Read(ref _isFailed);

    /// <summary>What went wrong so far.</summary>
    internal FrontendHealth Health { get; }

    /// <summary>Queues that the connection uses; before the first one, all.</summary>
    protected int ActiveQueues => Volatile.Read(ref _activeQueues);

    /// <summary>The queue that serves a client's queue.</summary>
    public int Route(int queue)
    {
        int active = ActiveQueues;
        return queue < active ? queue : queue % active;
    }

    /// <summary>Makes a queue; false when memory or grant references are out.</summary>
    protected abstract bool CreateQueue(int queue);

    /// <summary>Prepares the rings of a queue that is to be used, and says what the backend has to know of them.</summary>
    /// <param name="queue">The queue.</param>
    /// <param name="offer">The backend's nodes.</param>
    /// <param name="nodes">Takes the queue's nodes.</param>
    /// <param name="prefix">Goes before their names: empty for the only queue, else its directory and a slash.</param>
    /// <returns>False when the last backend still uses a page of it.</returns>
    protected abstract bool TryPrepareQueue(int queue, BackendNodes offer, FrontendNodes nodes, ReadOnlySpan<byte> prefix);

    /// <summary>Takes a queue out of use that the next backend does not take; what is in flight in it is kept.</summary>
    protected abstract void ParkQueue(int queue);

    /// <summary>Adds the nodes that are not a queue's.</summary>
    protected abstract void AddNodes(BackendNodes offer, FrontendNodes nodes);

    /// <summary>Lets nothing more into or out of a queue.</summary>
    protected abstract void StopQueue(int queue);

    /// <summary>Ends what a queue has in flight.</summary>
    protected abstract void GiveUpQueue(int queue);

    /// <summary>Reports what has ended in a queue. Called with no lock held, possibly on several CPUs at once.</summary>
    protected abstract void ServeQueue(int queue);

    /// <summary>Tells the client that the device can be used again, or not any more.</summary>
    protected abstract void Changed();

    /// <summary>Makes the queues; once, before <see cref="XenbusFrontend.Start"/>.</summary>
    /// <returns>False when there is not even one.</returns>
    public bool CreateQueues()
    {
        int wanted = Math.Min(Math.Max(1, Xen.Interrupts.CpuCount), MaximumQueues);
        while (_queueCount < wanted && CreateQueue(_queueCount))
        {
            _queueCount++;
        }

        _activeQueues = _queueCount;
        return _queueCount != 0;
    }

    /// <summary>Whether a client's queue is served by another one.</summary>
    protected bool IsServedBy(int clientQueue, int queue) => Route(clientQueue) == queue;

    /// <summary>Sends the backend an event of a queue.</summary>
    protected void Notify(int queue)
    {
        if (queue < Volatile.Read(ref _openPorts))
        {
            Xen.Events.Notify(_ports[queue]);
        }
    }

    /// <summary>Serves a queue later, on this CPU.</summary>
    protected void ServeLater(int queue) => Xen.Interrupts.RunLater(_work[queue]);

    /// <inheritdoc/>
    protected sealed override bool Open(BackendNodes offer, FrontendNodes nodes)
    {
        int queues = offer.TryRead(QueueLimitName, uint.MaxValue, out ulong limit) && limit != 0 ? (int)Math.Min(limit, (ulong)_queueCount) : 1;
        Volatile.Write(ref _activeQueues, queues);
        for (int i = queues; i < _queueCount; i++)
        {
            ParkQueue(i);
        }

        PathBuilder prefix = new(stackalloc byte[16]);
        if (queues > 1)
        {
            nodes.Add("multi-queue-num-queues"u8, (ulong)queues);
        }

        for (int i = 0; i < queues; i++)
        {
            prefix.Truncate(0);
            if (queues > 1)
            {
                prefix.Append("queue-"u8);
                prefix.AppendDecimal((uint)i);
                prefix.Append((byte)'/');
            }

            if (!TryPrepareQueue(i, offer, nodes, prefix.Text) || !TryOpenPort(i))
            {
                return false;
            }

            AddQueueNode(nodes, prefix.Text, "event-channel"u8, _ports[i]);
        }

        AddNodes(offer, nodes);

        // Not before: what an old ring still holds is looked at while the queues are prepared, but not that of a broken one.
        Health.Forget();
        Volatile.Write(ref _isRecovering, 0);
        return true;
    }

    /// <inheritdoc/>
    protected sealed override void Stop()
    {
        for (int i = 0; i < _queueCount; i++)
        {
            StopQueue(i);
        }
    }

    /// <inheritdoc/>
    protected sealed override void Release(bool isRestored)
    {
        int open = _openPorts;
        Volatile.Write(ref _openPorts, 0);
        for (int i = 0; i < open && !isRestored; i++)
        {
            Xen.Events.Close(_ports[i]);
        }

        // Pages that the backend held on to are free now.
        ServeAll();
    }

    /// <inheritdoc/>
    protected sealed override void Abandon()
    {
        Volatile.Write(ref _isFailed, true);
        GiveUpAll();
        Changed();
    }

    /// <summary>The queues are connected: reports what has ended meanwhile and lets the client in.</summary>
    protected void Connected()
    {
        Volatile.Write(ref _isFailed, false);
        ServeAll();
        Changed();
    }

    /// <summary>Adds a node of a queue.</summary>
    protected static void AddQueueNode(FrontendNodes nodes, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> name, uint value)
    {
        PathBuilder path = new(stackalloc byte[64]);
        path.Append(prefix);
        path.Append(name);
        nodes.Add(path.Text, value);
    }

    /// <summary>The beginning of a log line that describes the device.</summary>
    protected LogLine Describe() =>
        Log.Line("xen "u8).Text(Home.Slice("device/"u8.Length)).Text(" of domain "u8).Decimal(BackendDomain);

    private void HandleQueue(int queue)
    {
        ServeQueue(queue);
        if (Health.IsBroken && Interlocked.CompareExchange(ref _isRecovering, 1, 0) == 0)
        {
            // Nothing in the rings can be believed: what is in flight is lost, and the device is opened again.
            Health.ReportBreak();
            GiveUpAll();
            RequestReopen();
            if (Xen.Store.IsBroken)
            {
                // Nobody will open it again.
                Abandon();
            }
        }
    }

    private void GiveUpAll()
    {
        for (int i = 0; i < _queueCount; i++)
        {
            GiveUpQueue(i);
        }

        ServeAll();
    }

    private void ServeAll()
    {
        for (int i = 0; i < _queueCount; i++)
        {
            ServeQueue(i);
        }
    }

    private bool TryOpenPort(int queue)
    {
        if (Xen.Events.AllocateUnbound(BackendDomain, _work[queue], out _ports[queue]) != 0)
        {
            return false;
        }

        Xen.Events.Bind(_ports[queue], queue % Xen.Interrupts.CpuCount);
        Volatile.Write(ref _openPorts, queue + 1);
        return true;
    }

    /// <summary>A queue's event, and its deferred work.</summary>
    private sealed class QueueWork(QueuedFrontend device, int queue) : InterruptHandler
    {
        public override void Handle() => device.HandleQueue(queue);
    }
}
