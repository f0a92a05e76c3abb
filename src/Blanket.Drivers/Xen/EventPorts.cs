using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>
/// Event channels of L1's own domain (the guests' are in Core/Events): ports, whose handlers run on the CPU that each is bound to, with no lock
/// held. The FIFO ABI where Xen offers it, else the two-level one. Nothing that L0 writes is used as an index unchecked.
/// </summary>
public sealed class EventPorts
{
    private const int Ports = (int)EventChannelFifo.TwoLevelPorts;
    private const int Words = Ports / 64;

    private readonly XenHypercalls _xen;
    private readonly InterruptHandler?[] _handlers = new InterruptHandler?[Ports];
    private readonly FifoQueues _fifo;
    private readonly ulong[] _infos;
    private readonly uint[] _vcpus;

    // The CPU that is to serve a port, as soon as it can.
    private readonly byte[] _wanted = new byte[Ports];

    // A bit for each port that a CPU serves, for the two-level ABI.
    private readonly ulong[] _served;
    private bool _usesFifo;
    private SpinLock _lock = new(LockClass.DriverTransport);

    /// <summary>Ports of a domain whose shared frames are mapped.</summary>
    /// <param name="xen">Calls to Xen.</param>
    /// <param name="sharedInfo">Physical address of the shared info page.</param>
    /// <param name="cpus">CPUs that may serve ports.</param>
    public EventPorts(XenHypercalls xen, ulong sharedInfo, int cpus)
    {
        _xen = xen;
        SharedInfoAddress = sharedInfo;
        _fifo = new FifoQueues(xen, this, cpus, Ports);
        _infos = new ulong[cpus];
        _vcpus = new uint[cpus];
        _served = new ulong[cpus * Words];
        MaskAll();
    }

    /// <summary>Physical address of the shared info page.</summary>
    public ulong SharedInfoAddress { get; }

    /// <summary>Whether events come by the FIFO ABI; known when the first CPU can receive them.</summary>
    public bool UsesFifo => _usesFifo;

    /// <summary>Tells where a CPU's struct vcpu_info is and what Xen calls the CPU; before it serves a port.</summary>
    /// <param name="cpu">Number of the CPU in L1.</param>
    /// <param name="vcpuInfo">Physical address.</param>
    /// <param name="vcpu">Xen's number of the CPU.</param>
    public void SetVcpuInfo(int cpu, ulong vcpuInfo, uint vcpu)
    {
        _vcpus[cpu] = vcpu;
        if (cpu == 0)
        {
            _usesFifo = _fifo.TryStart(cpu, vcpu);
        }
        else if (_usesFifo)
        {
            // Xen has no reason to refuse a second one; without it the CPU would get no events.
            Check.That(_fifo.TryStart(cpu, vcpu));
        }

        Volatile.Write(ref _infos[cpu], vcpuInfo);
    }

    /// <summary>Has a CPU that can receive events from now on serve the ports that were meant for it.</summary>
    public void TakeOver(int cpu)
    {
        if (cpu == 0)
        {
            return;
        }

        for (uint port = 1; port < Ports; port++)
        {
            if (Volatile.Read(ref _wanted[port]) == cpu)
            {
                Move(port, cpu);
            }
        }
    }

    /// <summary>A port that another domain may bind to.</summary>
    /// <param name="remote">That domain.</param>
    /// <param name="handler">Runs for each event.</param>
    /// <param name="port">The port.</param>
    /// <returns>0 or a negative errno.</returns>
    public int AllocateUnbound(ushort remote, InterruptHandler handler, out uint port)
    {
        EventChannelAllocateUnbound argument = new() { Domain = DomainId.Self, RemoteDomain = remote };
        long error = _xen.EventChannel(EventChannelOp.AllocateUnbound, ref argument);
        port = argument.Port;
        if (error != 0 || Attach(port, handler))
        {
            return (int)error;
        }

        Release(port);
        return -Errno.ENOMEM;
    }

    /// <summary>Serves a port that exists already, as those of xenstore and the console; on CPU 0, like every new port.</summary>
    /// <returns>False when it cannot be a port, or there is no memory for its events.</returns>
    public bool Attach(uint port, InterruptHandler handler)
    {
        if (port is 0 or >= Ports)
        {
            return false;
        }

        _lock.Acquire();
        bool canBeServed = !_usesFifo || _fifo.TryAdd(port);
        if (canBeServed)
        {
            _handlers[port] = handler;
            SetServed(0, port, true);
        }

        _lock.Release();
        if (canBeServed)
        {
            Unmask(port);
        }

        return canBeServed;
    }

    /// <summary>Has another CPU serve a port; one that cannot receive events yet does so as soon as it can.</summary>
    /// <param name="port">A port of this domain's that is served.</param>
    /// <param name="cpu">Number of the CPU in L1.</param>
    public void Bind(uint port, int cpu)
    {
        Volatile.Write(ref _wanted[port], (byte)cpu);
        if (Volatile.Read(ref _infos[cpu]) != 0)
        {
            Move(port, cpu);
        }
    }

    /// <summary>Sends an event to the port's other end.</summary>
    public void Notify(uint port)
    {
        // struct evtchn_send is one port. An error means that the other end is gone, which the store tells.
        uint argument = port;
        L0Counters.Count(L0Request.Event);
        _xen.EventChannel(EventChannelOp.Send, ref argument);
    }

    /// <summary>Holds a port's events back.</summary>
    public void Mask(uint port)
    {
        if (_usesFifo)
        {
            _fifo.Mask(port);
        }
        else
        {
            AtomicBits.TestAndSet(ref MaskWord(port), (int)(port & 63));
        }
    }

    /// <summary>Lets a port's events through, those that were held back included.</summary>
    public void Unmask(uint port)
    {
        uint argument = port;
        _xen.EventChannel(EventChannelOp.Unmask, ref argument);
    }

    /// <summary>Closes a port; its handler is not called any more, except on a CPU that is calling it.</summary>
    public void Close(uint port)
    {
        Mask(port);
        Forget(port);
        Release(port);
    }

    /// <summary>Stops serving a port that does not exist any more.</summary>
    public void Forget(uint port)
    {
        _lock.Acquire();
        _handlers[port] = null;
        _wanted[port] = 0;
        for (int cpu = 0; cpu < _infos.Length; cpu++)
        {
            SetServed(cpu, port, false);
        }

        _lock.Release();
    }

    /// <summary>After a restore: no port is left, and no CPU receives events; CPUs start again, owners make new ports.</summary>
    public void Reset()
    {
        _lock.Acquire();
        for (int port = 0; port < Ports; port++)
        {
            _handlers[port] = null;
            _wanted[port] = 0;
        }

        for (int i = 0; i < _served.Length; i++)
        {
            _served[i] = 0;
        }

        // Until it has told Xen of its place and control block again, a CPU would miss events of ports that are bound to it.
        for (int cpu = 0; cpu < _infos.Length; cpu++)
        {
            Volatile.Write(ref _infos[cpu], 0UL);
        }

        _usesFifo = false;
        _fifo.Reset();
        _lock.Release();
        MaskAll();
    }

    /// <summary>Runs the handlers of this CPU's pending ports; called for the upcall vector.</summary>
    /// <param name="cpu">Number of this CPU.</param>
    public void HandleUpcall(int cpu)
    {
        ulong info = _infos[cpu];
        if (info == 0)
        {
            return;
        }

        Volatile.Write(ref PhysicalMemory.At<byte>(info), 0);
        if (_usesFifo)
        {
            _fifo.Handle(cpu);
            return;
        }

        ulong selector = Interlocked.Exchange(ref PhysicalMemory.At<ulong>(info + VcpuInfo.PendingSelectorOffset), 0);
        while (selector != 0)
        {
            int word = System.Numerics.BitOperations.TrailingZeroCount(selector);
            selector &= selector - 1;
            HandleWord(cpu, word);
        }
    }

    private void HandleWord(int cpu, int word)
    {
        ref ulong pending = ref PhysicalMemory.At<ulong>(SharedInfoAddress + SharedInfo.EventPendingOffset + (uint)word * 8);
        ulong mask = PhysicalMemory.Read<ulong>(SharedInfoAddress + SharedInfo.EventMaskOffset + (uint)word * 8);
        ulong ready = Volatile.Read(ref pending) & ~mask & Volatile.Read(ref _served[cpu * Words + word]);
        while (ready != 0)
        {
            int bit = System.Numerics.BitOperations.TrailingZeroCount(ready);
            ready &= ready - 1;
            if (AtomicBits.TestAndClear(ref pending, bit))
            {
                Serve((uint)(word * 64 + bit));
            }
        }
    }

    /// <summary>Runs a port's handler, if it has one.</summary>
    internal void Serve(uint port)
    {
        InterruptHandler? handler = Volatile.Read(ref _handlers[port]);
        if (handler != null)
        {
            handler.Handle();
        }
    }

    private void Release(uint port)
    {
        uint argument = port;
        _xen.EventChannel(EventChannelOp.Close, ref argument);
    }

    private void Move(uint port, int cpu)
    {
        // Held back meanwhile: an event between Xen's change and ours would wait on a CPU that does not serve the port. Unmask raises it anew.
        Mask(port);
        EventChannelBindVcpu argument = new() { Port = port, Vcpu = _vcpus[cpu] };
        if (_xen.EventChannel(EventChannelOp.BindVcpu, ref argument) == 0)
        {
            _lock.Acquire();
            for (int other = 0; other < _infos.Length; other++)
            {
                SetServed(other, port, other == cpu);
            }

            _lock.Release();
        }

        Unmask(port);
    }

    private void SetServed(int cpu, uint port, bool isServed)
    {
        ref ulong word = ref _served[cpu * Words + (int)(port / 64)];
        ulong bit = 1UL << (int)(port & 63);
        word = isServed ? word | bit : word & ~bit;
    }

    private void MaskAll()
    {
        for (int word = 0; word < Words; word++)
        {
            PhysicalMemory.Write(SharedInfoAddress + SharedInfo.EventMaskOffset + (uint)word * 8, ulong.MaxValue);
        }
    }

    private ref ulong MaskWord(uint port) =>
        ref PhysicalMemory.At<ulong>(SharedInfoAddress + SharedInfo.EventMaskOffset + port / 64 * 8);
}
