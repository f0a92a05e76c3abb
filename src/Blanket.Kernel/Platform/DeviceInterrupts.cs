using Blanket.Drivers;
using Blanket.Drivers.Pci;
using Blanket.Kernel.Platform.Acpi;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>Gives drivers their interrupts: messages to a CPU's local APIC, or wired ones through the I/O APICs.</summary>
public sealed class DeviceInterrupts : InterruptAllocator
{
    // Intel SDM vol. 3, 11.11: address 0xfee, destination in bits 12-19; data: vector, fixed delivery, edge.
    private const ulong MessageAddress = 0xfee00000;
    private const int DestinationShift = 12;
    private const uint LastDestination = 0xfe;
    private const int MaximumLines = 32;

    private readonly SharedLine?[] _lines = new SharedLine?[MaximumLines];
    private int _lineCount;
    private int _nextCpu;

    /// <inheritdoc/>
    public override int CpuCount => Processors.OnlineCount;

    /// <inheritdoc/>
    public override bool TryAllocate(InterruptHandler handler, out MessageSignal signal)
    {
        // In turn; the boot CPU is always online, so the search ends.
        do
        {
            _nextCpu = (_nextCpu + 1) % Processors.Count;
        }
        while (!Processors.IsOnline(_nextCpu));

        return TryAllocate(handler, _nextCpu, out signal);
    }

    /// <inheritdoc/>
    public override bool TryAllocate(InterruptHandler handler, int cpu, out MessageSignal signal)
    {
        if (!InterruptVectors.TryAllocate(handler, false, out byte vector))
        {
            signal = default;
            return false;
        }

        signal = Message(ChooseDestination(cpu), vector);
        return true;
    }

    /// <summary>The message that raises a vector on a CPU.</summary>
    internal static MessageSignal Message(uint apicId, byte vector) =>
        new(MessageAddress | ((ulong)apicId << DestinationShift), vector);

    // The boot CPU's id always fits: firmware numbers it low. Others fall back to it.
    private static uint ChooseDestination(int cpu)
    {
        bool usable = (uint)cpu < (uint)Processors.Count && Processors.IsOnline(cpu) && Processors.ApicId(cpu) <= LastDestination;
        return Processors.ApicId(usable ? cpu : 0);
    }

    /// <inheritdoc/>
    public override bool TryAttachLine(PciAddress function, byte pin, byte line, InterruptHandler handler)
    {
        if (!WiredInterrupt.TryOfPciLine(in AcpiInformation.Madt, line, out WiredInterrupt interrupt))
        {
            return false;
        }

        for (int i = 0; i < _lineCount; i++)
        {
            if (_lines[i]!.Number == interrupt.Number)
            {
                return _lines[i]!.TryAdd(handler);
            }
        }

        if (_lineCount == MaximumLines)
        {
            return false;
        }

        SharedLine shared = CreateLine(interrupt.Number);
        if (!shared.TryAdd(handler)
            || !InterruptVectors.TryAllocate(shared, interrupt.IsLevel, out byte vector)
            || !IoApics.TryRoute(interrupt, vector, Processors.ApicId(0)))
        {
            return false;
        }

        _lines[_lineCount++] = shared;
        return true;
    }

    private static SharedLine CreateLine(uint number) => new(number);

    /// <inheritdoc/>
    public override void RunLater(InterruptHandler handler) => DeferredHandlers.RunLater(handler);

    /// <summary>All handlers of one wired interrupt: each looks whether it is its device's.</summary>
    private sealed class SharedLine(uint number) : InterruptHandler
    {
        private const int MaximumHandlers = 16;

        private readonly InterruptHandler?[] _handlers = new InterruptHandler?[MaximumHandlers];
        private int _count;

        internal uint Number => number;

        internal bool TryAdd(InterruptHandler handler)
        {
            if (_count == MaximumHandlers)
            {
                return false;
            }

            _handlers[_count++] = handler;
            return true;
        }

        public override void Handle()
        {
            for (int i = 0; i < _count; i++)
            {
                _handlers[i]!.Handle();
            }
        }
    }
}

/// <summary>Maps drivers' registers by way of <see cref="DeviceMapping"/>.</summary>
public sealed class DeviceRegisterMapper : DeviceMapper
{
    /// <inheritdoc/>
    public override DeviceRegisters Map(ulong physical, ulong length) => DeviceMapping.Map(physical, length);
}
