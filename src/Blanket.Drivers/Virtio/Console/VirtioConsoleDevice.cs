using System;
using System.Runtime.InteropServices;
using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio.Console;

/// <summary>The console device driver (virtio 1.2, 5.3), with one port or several. One queue group serves everything.</summary>
internal sealed class VirtioConsoleDevice : VirtioDevice
{
    /// <summary>The most ports that are used of a device.</summary>
    public const int MaximumPorts = ConsoleControlQueues.MaximumPorts;

    // At boot the ports that L0 configured are waited for: until nothing new came for so many cycles, and in any case no longer
    // than that many looks.
    private const ulong QuietCycles = 60_000_000;
    private const int MaximumPolls = 1_000_000;

    private readonly DeviceCollection _found;
    private VirtioConsolePort?[] _ports = new VirtioConsolePort?[0];
    private ConsoleControlQueues? _control;
    private bool _hasProgressed;

    public VirtioConsoleDevice(
        VirtioTransport transport, PciFunction function, DeviceMapper mapper, InterruptAllocator allocator, DeviceCollection found)
        : base(transport, function, mapper, allocator)
    {
        _found = found;
    }

    /// <inheritdoc/>
    protected override ReadOnlySpan<byte> Kind => "console"u8;

    /// <summary>Ports that the device may have.</summary>
    public int PortCount => _ports.Length;

    /// <summary>A port, plugged in or not.</summary>
    public VirtioConsolePort Port(int index) => _ports[index]!;

    /// <summary>Serves the ports later, on this CPU.</summary>
    public void ServePortsLater() => ServeLater(0);

    /// <summary>Finds the ports and logs what was found; once, after the start.</summary>
    public void Introduce()
    {
        Begin();
        if (_control != null)
        {
            AwaitPorts();
        }

        LogLine line = Describe();
        int present = 0;
        for (int i = 0; i < _ports.Length; i++)
        {
            present += Port(i).IsPresent ? 1 : 0;
        }

        line.Text(", ports "u8).Decimal((uint)present).Text(" of "u8).Decimal((uint)_ports.Length);
        for (int i = 0; i < _ports.Length; i++)
        {
            if (Port(i).IsPresent && Port(i).Name.Length != 0)
            {
                line.Text(" "u8).Quoted(Port(i).Name);
            }
        }

        line.End();
    }

    /// <inheritdoc/>
    protected override ulong ChooseFeatures(ulong offered) => offered & ConsoleWire.MultiPort;

    /// <inheritdoc/>
    protected override bool CreateQueues()
    {
        bool isMultiPort = Has(ConsoleWire.MultiPort);
        uint ports = isMultiPort ? Math.Max(1, Transport.ReadConfiguration32(ConsoleWire.ConfigMaximumPorts)) : 1;
        _ports = new VirtioConsolePort?[Math.Min(ports, MaximumPorts)];
        GroupCount = 1;
        for (int i = 0; i < _ports.Length; i++)
        {
            _ports[i] = CreatePort(i);
            if (_ports[i] == null)
            {
                return false;
            }
        }

        return !isMultiPort || CreateControl();
    }

    /// <inheritdoc/>
    protected override void ServiceGroup(int group)
    {
        if (_control != null)
        {
            ServiceControl(_control);
        }

        for (int i = 0; i < _ports.Length; i++)
        {
            if (Port(i).IsPresent && Port(i).HasWork)
            {
                Port(i).Service();
            }
        }
    }

    /// <summary>The size of the terminal is all that can change, and it is not used.</summary>
    protected override void ServiceConfiguration()
    {
    }

    /// <inheritdoc/>
    protected override void GiveUp(Virtqueue queue)
    {
        bool isControl = _control != null && (queue.Index == _control.Receive.Index || queue.Index == _control.Transmit.Index);
        bool isTransmit = (queue.Index & 1) != 0;
        if (!isControl && isTransmit)
        {
            Port(ConsoleWire.PortOf(queue.Index)).GiveUpOutput();
        }
    }

    /// <inheritdoc/>
    protected override void Restarted()
    {
        if (!IsFailed)
        {
            Begin();
        }
    }

    // After a start or a restart: the device has no buffers and, with several ports, has not told of any port.
    private void Begin()
    {
        if (_control == null)
        {
            PlugIn(0);
            return;
        }

        for (int i = 0; i < _ports.Length; i++)
        {
            Port(i).IsPresent = false;
        }

        if (_control.FillReceive())
        {
            Transport.Notify(_control.Receive);
        }

        _control.Announce();
        if (_control.SendNext())
        {
            Transport.Notify(_control.Transmit);
        }
    }

    private void PlugIn(int index)
    {
        VirtioConsolePort port = Port(index);
        port.IsPresent = true;
        port.FillReceive();
        if (!port.IsListed)
        {
            port.IsListed = _found.TryAdd(port);
        }
    }

    private VirtioConsolePort? CreatePort(int index)
    {
        Virtqueue? receive = CreateQueue(ConsoleWire.ReceiveQueueOf(index), 0, VirtioConsolePort.InputBuffers, 0);
        Virtqueue? transmit = CreateQueue(ConsoleWire.TransmitQueueOf(index), 0, 2, 0, LockClass.ConsoleOutput);
        DmaMemory? input = CreateMemory(VirtioConsolePort.InputBuffers * VirtioConsolePort.InputBufferSize);
        DmaMemory? output = CreateMemory(VirtioConsolePort.OutputSize);
        return receive == null || transmit == null || input == null || output == null
            ? null
            : new VirtioConsolePort(this, receive, transmit, input.Address, output.Address);
    }

    private bool CreateControl()
    {
        Virtqueue? receive = CreateQueue(ConsoleWire.ControlReceiveQueue, 0, ConsoleControlQueues.InputBuffers, 0);
        Virtqueue? transmit = CreateQueue(ConsoleWire.ControlTransmitQueue, 0, 2, 0);
        DmaMemory? input = CreateMemory(ConsoleControlQueues.InputBuffers * ConsoleControlQueues.InputBufferSize);
        DmaMemory? output = CreateMemory(ConsoleWire.ControlSize);
        if (receive == null || transmit == null || input == null || output == null)
        {
            return false;
        }

        _control = new ConsoleControlQueues(receive, transmit, input.Address, output.Address);
        return true;
    }

    private void ServiceControl(ConsoleControlQueues control)
    {
        Span<byte> message = stackalloc byte[ConsoleControlQueues.InputBufferSize];
        int budget = 2 * ConsoleControlQueues.InputBuffers;
        do
        {
            while (budget > 0 && control.TryReceive(message, out uint length))
            {
                budget--;
                _hasProgressed = true;
                Take(control, message, length);
            }

            if (control.FillReceive())
            {
                Transport.Notify(control.Receive);
            }
        }
        while (budget > 0 && !control.TryRequestInterrupt());

        // Buffers are back with the device before it is given a reason to answer.
        if (control.SendNext())
        {
            Transport.Notify(control.Transmit);
        }

        if (budget == 0)
        {
            ServePortsLater();
        }
    }

    private void Take(ConsoleControlQueues control, ReadOnlySpan<byte> message, uint length)
    {
        if (length < ConsoleWire.ControlSize || length > ConsoleControlQueues.InputBufferSize)
        {
            Health.Report(VirtioFault.BadControlMessage, control.Receive.Index, length);
            return;
        }

        ConsoleControl header = MemoryMarshal.Read<ConsoleControl>(message);
        if (header.Port >= (uint)_ports.Length)
        {
            Health.Report(VirtioFault.BadControlMessage, control.Receive.Index, header.Port);
            return;
        }

        int port = (int)header.Port;
        switch (header.Event)
        {
            case ConsoleWire.PortAdd:
                PlugIn(port);
                control.Welcome(port);
                break;
            case ConsoleWire.PortRemove:
                control.Forget(port);
                Port(port).Unplug();
                break;
            case ConsoleWire.PortName:
                Port(port).SetName(WithoutEnd(message.Slice(ConsoleWire.ControlSize, (int)length - ConsoleWire.ControlSize)));
                break;
            case ConsoleWire.ConsolePort:
            case ConsoleWire.PortOpen:
            case ConsoleWire.Resize:
                // Every port is kept open on this side, whoever listens on the other.
                break;
            default:
                Health.Report(VirtioFault.BadControlMessage, control.Receive.Index, header.Event);
                break;
        }
    }

    // Some devices send the name with its terminating zero.
    private static ReadOnlySpan<byte> WithoutEnd(ReadOnlySpan<byte> name)
    {
        int end = name.IndexOf((byte)0);
        return end < 0 ? name : name.Slice(0, end);
    }

    private void AwaitPorts()
    {
        ulong quietSince = Cpu.ReadTsc();
        for (int i = 0; i < MaximumPolls && !IsFailed; i++)
        {
            if (_control!.Receive.HasUsed || _control.Transmit.HasUsed)
            {
                HandleGroup(0);
            }

            ulong now = Cpu.ReadTsc();
            if (_hasProgressed || !_control.IsQuiet)
            {
                _hasProgressed = false;
                quietSince = now;
            }
            else if (unchecked(now - quietSince) > QuietCycles)
            {
                return;
            }

            Cpu.Pause();
        }
    }
}
