using System;
using System.Threading;
using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio;

/// <summary>
/// What all virtio devices share: initialization (virtio 1.2, 3.1), interrupts, and recovery from misbehaviour.
/// Queues belong to groups; a group is what one interrupt serves.
/// <para>
/// Recovery: a queue whose ring the device broke stops at once. Whoever serves the interrupt then stops all queues, resets the device,
/// gives up what was in flight (only now is that memory no longer the device's), negotiates the same features and starts again.
/// A device that breaks again and again, or does not come back, has failed for good: requests end in errors.
/// </para>
/// </summary>
internal abstract class VirtioDevice
{
    /// <summary>The most queues that are used of a device.</summary>
    public const int MaximumQueues = 136;

    /// <summary>Group of queues that <see cref="ServiceConfiguration"/> serves.</summary>
    protected const int ConfigurationGroup = -1;

    // Breaking once in a long time is survived for ever; breaking again before so much work was done counts against the device.
    private const int MaximumConsecutiveResets = 3;
    private const ulong WorkThatRedeems = 1024;

    private readonly PciFunction _function;
    private readonly DeviceMapper _mapper;
    private readonly InterruptAllocator _allocator;
    private readonly Virtqueue?[] _queues = new Virtqueue?[MaximumQueues];
    private readonly int[] _queueGroups = new int[MaximumQueues];
    private VirtioGroupWork[] _groupWork = new VirtioGroupWork[0];
    private VirtioInterrupts? _interrupts;
    private DmaMemory? _memory;
    private SpinLock _control = new(LockClass.Driver);
    private int _queueCount;
    private int _resets;
    private ulong _workAtReset;
    private bool _isFailed;

    /// <summary>A device that is not touched yet.</summary>
    protected VirtioDevice(VirtioTransport transport, PciFunction function, DeviceMapper mapper, InterruptAllocator allocator)
    {
        Transport = transport;
        _function = function;
        _mapper = mapper;
        _allocator = allocator;
        Health = new VirtioHealth(function.Address);
    }

    /// <summary>The way to the device.</summary>
    public VirtioTransport Transport { get; }

    /// <summary>Queue groups.</summary>
    public int GroupCount { get; protected set; }

    /// <summary>What went wrong so far.</summary>
    public VirtioHealth Health { get; }

    /// <summary>The device is gone for good.</summary>
    public bool IsFailed => Volatile.Read(ref _isFailed);

    /// <summary>Features in use.</summary>
    protected ulong Features { get; private set; }

    /// <summary>CPUs that could use a queue of their own.</summary>
    protected int CpuCount => Math.Max(1, _allocator.CpuCount);

    /// <summary>Name of the kind of device, for log lines.</summary>
    protected abstract ReadOnlySpan<byte> Kind { get; }

    /// <summary>Features of the device type that the driver can use, out of those offered, with their dependencies met.</summary>
    protected abstract ulong ChooseFeatures(ulong offered);

    /// <summary>Reads the configuration and makes queues and groups; called once, between features and DRIVER_OK.</summary>
    /// <returns>False when the device cannot be used; the reason has been logged.</returns>
    protected abstract bool CreateQueues();

    /// <summary>Serves the queues of a group: completions, then interrupts on again. Called with no lock held, possibly on several CPUs at once.</summary>
    protected abstract void ServiceGroup(int group);

    /// <summary>Looks at the configuration for changes. Called like <see cref="ServiceGroup"/>.</summary>
    protected abstract void ServiceConfiguration();

    /// <summary>Serves queues of <see cref="ConfigurationGroup"/>.</summary>
    protected virtual void ServiceControlQueue()
    {
    }

    /// <summary>The device was reset: gives up what a queue had in flight. Called with the queue's lock held; must not log or call clients.</summary>
    protected abstract void GiveUp(Virtqueue queue);

    /// <summary>The device runs again, or has failed for good. Called with no lock held; the groups are served next.</summary>
    protected abstract void Restarted();

    /// <summary>Brings the device up to DRIVER_OK (3.1.1).</summary>
    /// <returns>False when it cannot be used; the reason has been logged and its memory freed.</returns>
    public bool CreateStarted()
    {
        _function.Enable();
        if (!Transport.TryReset())
        {
            // It may still use memory: nothing has been given to it, so nothing is lost.
            return Refuse("does not end its reset"u8);
        }

        if (!TryNegotiate(ulong.MaxValue))
        {
            return Abort("does not accept the features"u8);
        }

        if (!CreateQueues())
        {
            return Abort("cannot be used"u8);
        }

        _groupWork = CreateGroupWork();
        _interrupts = VirtioInterrupts.Create(this, _function, _mapper, _allocator);
        if (_interrupts == null)
        {
            return Abort("has no way to interrupt"u8);
        }

        if (!TryActivate())
        {
            return Abort("refuses its queues or vectors"u8);
        }

        StartQueues();
        return true;
    }

    /// <summary>The first part of the log line that describes the device; the driver appends what is special and ends it.</summary>
    protected LogLine Describe()
    {
        LogLine line = Log.Line("pci "u8);
        _function.Address.AppendTo(ref line);
        line.Text(" virtio "u8).Text(Kind).Text(Transport.IsModern ? ", modern"u8 : ", legacy"u8);
        if (_interrupts != null && _interrupts.VectorCount != 0)
        {
            line.Text(", MSI-X "u8).Decimal((uint)_interrupts.VectorCount);
        }
        else
        {
            line.Text(_interrupts != null && _interrupts.UsesLine ? ", INTx"u8 : ", MSI"u8);
        }

        return line;
    }

    /// <summary>Whether a feature is in use.</summary>
    protected bool Has(ulong feature) => (Features & feature) != 0;

    /// <summary>Makes a queue; null when the device has none of that number or memory is out.</summary>
    /// <param name="index">The device's number.</param>
    /// <param name="group">The group that serves it.</param>
    /// <param name="capacity">The most descriptors wanted, a power of two.</param>
    /// <param name="tableCapacity">The most buffers of a request when the device knows indirect descriptors; 0 for none.</param>
    /// <param name="lockClass">Class of the queue's lock.</param>
    protected Virtqueue? CreateQueue(int index, int group, int capacity, int tableCapacity, LockClass lockClass = LockClass.Driver)
    {
        ushort size = (uint)index <= ushort.MaxValue && _queueCount < MaximumQueues ? Transport.ReadQueueSize(index) : (ushort)0;
        if (size == 0)
        {
            return null;
        }

        VirtqueueLayout layout = VirtqueueLayout.Of((ushort)index, size, capacity, tableCapacity, Features);
        DmaMemory? ring = CreateMemory(layout.RingBytes);
        DmaMemory? tables = layout.TableBytes != 0 ? CreateMemory(layout.TableBytes) : ring;
        if (ring == null || tables == null)
        {
            return null;
        }

        Virtqueue queue = new(in layout, Health, ring.Address, tables.Address, lockClass);
        _queueGroups[_queueCount] = group;
        _queues[_queueCount++] = queue;
        return queue;
    }

    /// <summary>Zeroed memory that lives as long as the device; null when memory is out.</summary>
    protected DmaMemory? CreateMemory(ulong bytes)
    {
        DmaMemory? memory = DmaMemory.Create(bytes, Transport.RingAddressLimit);
        if (memory != null)
        {
            memory.Next = _memory;
            _memory = memory;
        }

        return memory;
    }

    /// <summary>Serves a group later, on this CPU.</summary>
    protected void ServeLater(int group) => _allocator.RunLater(_groupWork[group]);

    /// <summary>Takes the device out of use after an initial failure of the driver's own; memory is freed.</summary>
    protected bool Abort(ReadOnlySpan<byte> reason)
    {
        Volatile.Write(ref _isFailed, true);
        Transport.Status = VirtioStatus.Failed;
        if (!Transport.TryReset())
        {
            _function.DisableBusMastering();
            return Refuse(reason);
        }

        while (_memory != null)
        {
            DmaMemory memory = _memory;
            _memory = memory.Next;
            memory.Free();
        }

        _queueCount = 0;
        return Refuse(reason);
    }

    /// <summary>Interrupt of a queue group.</summary>
    public void HandleGroup(int group)
    {
        ServiceGroup(group);
        RecoverIfNeeded();
    }

    /// <summary>Interrupt of the configuration: a change of it, or NEEDS_RESET (2.1.2).</summary>
    public void HandleConfiguration()
    {
        if (!IsFailed)
        {
            byte status = Transport.Status;
            if ((status & VirtioStatus.NeedsReset) != 0)
            {
                Health.Break(VirtioFault.AsksForReset, 0, status);
            }
            else
            {
                ServiceConfiguration();
            }
        }

        HandleControlQueue();
    }

    /// <summary>Interrupt of a queue of <see cref="ConfigurationGroup"/>.</summary>
    public void HandleControlQueue()
    {
        ServiceControlQueue();
        RecoverIfNeeded();
    }

    /// <summary>Resets the device if it broke. Called with no lock held.</summary>
    protected void RecoverIfNeeded()
    {
        // Whoever holds the lock looks again after it lets go, so nobody has to wait here.
        while (Health.NeedsReset && _control.TryAcquire())
        {
            if (!Health.NeedsReset)
            {
                _control.Release();
                continue;
            }

            Recover();
            _control.Release();
            Restarted();
            ServiceControlQueue();
            for (int group = 0; group < GroupCount; group++)
            {
                ServiceGroup(group);
            }
        }
    }

    private void Recover()
    {
        StopQueues();
        Health.AcknowledgeReset();
        if (IsFailed)
        {
            return;
        }

        bool isReset = Transport.TryReset();
        if (!isReset)
        {
            // The last resort to end its access to memory before that is used for something else.
            _function.DisableBusMastering();
        }

        for (int i = 0; i < _queueCount; i++)
        {
            Virtqueue queue = _queues[i]!;
            queue.Lock.Acquire();
            GiveUp(queue);
            queue.Clear();
            queue.Lock.Release();
        }

        bool isAlive = isReset && MayTryAgain() && TryNegotiate(Features) && TryActivate();
        if (isAlive)
        {
            StartQueues();
        }
        else
        {
            Volatile.Write(ref _isFailed, true);
            if (isReset)
            {
                Transport.Status = VirtioStatus.Failed;
                Transport.TryReset();
                _function.DisableBusMastering();
            }
        }

        LogLine line = Log.Line("virtio "u8);
        _function.Address.AppendTo(ref line);
        line.Text(isAlive ? ": was reset"u8 : ": has failed, requests end in errors from here on"u8).End();
    }

    private bool MayTryAgain()
    {
        ulong work = 0;
        for (int i = 0; i < _queueCount; i++)
        {
            work = unchecked(work + _queues[i]!.Completed);
        }

        if (unchecked(work - _workAtReset) >= WorkThatRedeems)
        {
            _resets = 0;
        }

        _workAtReset = work;
        return ++_resets <= MaximumConsecutiveResets;
    }

    private void StopQueues()
    {
        for (int i = 0; i < _queueCount; i++)
        {
            Virtqueue queue = _queues[i]!;
            queue.Lock.Acquire();
            queue.Stop();
            queue.Lock.Release();
        }
    }

    private void StartQueues()
    {
        for (int i = 0; i < _queueCount; i++)
        {
            Virtqueue queue = _queues[i]!;
            queue.Lock.Acquire();
            queue.Start();
            queue.TryRequestInterrupt();
            queue.Lock.Release();
        }
    }

    // Steps 2 to 6 of 3.1.1; 'wanted' limits the choice, after a reset to what the driver already relies on.
    private bool TryNegotiate(ulong wanted)
    {
        Transport.Status = VirtioStatus.Acknowledge;
        Transport.Status = VirtioStatus.Acknowledge | VirtioStatus.Driver;
        ulong offered = Transport.ReadDeviceFeatures();
        ulong features = ChooseFeatures(offered) | (offered & VirtioFeature.Supported);
        features &= Transport.IsModern ? ~VirtioFeature.AnyLayout : uint.MaxValue;
        features &= wanted;
        if (wanted != ulong.MaxValue && features != wanted)
        {
            return false;
        }

        if (Transport.IsModern && (features & VirtioFeature.Version1) == 0)
        {
            return false;
        }

        Transport.WriteDriverFeatures(features);
        Features = features;
        if (!Transport.IsModern)
        {
            // Legacy devices know no FEATURES_OK (3.1.2).
            return true;
        }

        Transport.Status = VirtioStatus.Acknowledge | VirtioStatus.Driver | VirtioStatus.FeaturesOk;
        return (Transport.Status & VirtioStatus.FeaturesOk) != 0;
    }

    private bool TryActivate()
    {
        if (!Transport.TrySetConfigurationVector(_interrupts!.ConfigurationVector))
        {
            return false;
        }

        for (int i = 0; i < _queueCount; i++)
        {
            if (!Transport.TryEnableQueue(_queues[i]!, _interrupts.VectorOf(_queueGroups[i])))
            {
                return false;
            }
        }

        byte status = VirtioStatus.Acknowledge | VirtioStatus.Driver | VirtioStatus.DriverOk;
        Transport.Status = (byte)(status | (Transport.IsModern ? VirtioStatus.FeaturesOk : 0));
        return true;
    }

    private VirtioGroupWork[] CreateGroupWork()
    {
        VirtioGroupWork[] work = new VirtioGroupWork[GroupCount];
        for (int i = 0; i < work.Length; i++)
        {
            work[i] = new VirtioGroupWork(this, i);
        }

        return work;
    }

    private bool Refuse(ReadOnlySpan<byte> reason)
    {
        LogLine line = Log.Line("pci "u8);
        _function.Address.AppendTo(ref line);
        line.Text(" virtio "u8).Text(Kind).Text(": "u8).Text(reason).Text(", left alone"u8).End();
        return false;
    }
}
