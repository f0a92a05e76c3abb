using Blanket.Kernel.Platform.Acpi;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>
/// The interrupt controller of every CPU (Intel SDM vol. 3, chapter 11), in x2APIC mode where the CPU has it: its registers
/// are MSRs then, else they are in memory, at the same address on every CPU.
/// </summary>
public static class LocalApic
{
    private const ulong EnableBit = 1 << 11;
    private const ulong X2ApicBit = 1 << 10;
    private const ulong AddressMask = 0x000ffffffffff000;
    private const uint FirstMsr = 0x800;

    private const int Version = 0x30, TaskPriority = 0x80, EndOfInterrupt = 0xb0, SpuriousVector = 0xf0, ErrorStatus = 0x280,
        CommandLow = 0x300, CommandHigh = 0x310, TimerEntry = 0x320, ThermalEntry = 0x330, PerformanceEntry = 0x340,
        Lint0Entry = 0x350, Lint1Entry = 0x360, ErrorEntry = 0x370, InitialCount = 0x380, CurrentCount = 0x390, DivideBy = 0x3e0;

    private const uint Masked = 1 << 16;
    private const uint SoftwareEnable = 1 << 8;
    private const uint NmiDelivery = 4 << 8, InitDelivery = 5 << 8, StartupDelivery = 6 << 8;
    private const uint LevelAssert = 1 << 14;
    private const uint DeliveryPending = 1 << 12;
    private const int MaximumPolls = 100_000;

    /// <summary>Bits of the timer's local vector entry: what its mode is.</summary>
    internal const uint TimerDeadlineMode = 2 << 17;

    /// <summary>Divide configuration: the bus clock as it is.</summary>
    internal const uint DivideByOne = 0xb;

    private static DeviceRegisters s_registers;
    private static bool s_isX2Apic;

    /// <summary>Whether the registers are MSRs.</summary>
    public static bool IsX2Apic => s_isX2Apic;

    /// <summary>Finds and sets up the boot CPU's; once.</summary>
    /// <returns>False when the registers cannot be mapped.</returns>
    internal static bool TryInitialize()
    {
        s_isX2Apic = CpuFeatures.Has(CpuFeature.X2Apic);
        if (!s_isX2Apic)
        {
            ulong address = Cpu.ReadMsr(Msr.ApicBase) & AddressMask;
            s_registers = DeviceMapping.Map(address != 0 ? address : AcpiInformation.Madt.LocalApicAddress, Cpu.PageSize);
            if (s_registers.Length == 0)
            {
                return false;
            }
        }

        InitializeThisCpu();
        return true;
    }

    /// <summary>Enables this CPU's: everything masked except NMIs and errors.</summary>
    internal static void InitializeThisCpu()
    {
        ulong apicBase = Cpu.ReadMsr(Msr.ApicBase) | EnableBit;
        Cpu.WriteMsr(Msr.ApicBase, apicBase);
        if (s_isX2Apic)
        {
            // From disabled to x2APIC only by way of xAPIC (SDM vol. 3, 11.12.5).
            Cpu.WriteMsr(Msr.ApicBase, apicBase | X2ApicBit);
        }

        Write(TaskPriority, 0);
        Write(SpuriousVector, SoftwareEnable | SystemVectors.Spurious);
        Write(TimerEntry, Masked | SystemVectors.Timer);
        MaskOptionalEntries();
        Write(Lint0Entry, Masked);
        Write(Lint1Entry, NmiDelivery);
        Write(ErrorEntry, SystemVectors.Error);
        Write(ErrorStatus, 0);
        Acknowledge();
    }

    // In x2APIC mode, access to an entry that is not there is a general protection fault.
    private static void MaskOptionalEntries()
    {
        const uint HasPerformance = 4, HasThermal = 5;
        uint lastEntry = Read(Version) >> 16 & 0xff;
        if (lastEntry >= HasPerformance)
        {
            Write(PerformanceEntry, Masked);
        }

        if (lastEntry >= HasThermal)
        {
            Write(ThermalEntry, Masked);
        }
    }

    /// <summary>Ends the interrupt of the highest priority that is in service on this CPU.</summary>
    public static void Acknowledge()
    {
        L0Counters.Count(L0Request.Acknowledgement);
        Write(EndOfInterrupt, 0);
    }

    /// <summary>The error bits since the last call (SDM vol. 3, 11.5.3).</summary>
    internal static uint TakeErrors()
    {
        Write(ErrorStatus, 0);
        return Read(ErrorStatus);
    }

    /// <summary>Raises a vector on another CPU, or this one.</summary>
    /// <param name="apicId">Its local APIC id.</param>
    /// <param name="vector">32 to 255.</param>
    public static void Send(uint apicId, byte vector) => Command(apicId, LevelAssert | vector);

    /// <summary>INIT: the CPU waits for a start-up interrupt from here on, whatever it did before. Not for the boot CPU, which would reset.</summary>
    internal static void SendInit(uint apicId) => Command(apicId, LevelAssert | InitDelivery);

    /// <summary>Starts a CPU that waits, in real mode at the start of a frame below 1 MiB.</summary>
    internal static void SendStartup(uint apicId, byte frame) => Command(apicId, LevelAssert | StartupDelivery | frame);

    /// <summary>Stops every CPU but this one for good, wherever it is: its registers stay as they are, for a debugger.</summary>
    internal static void StopOthers()
    {
        if (Processors.OnlineCount <= 1)
        {
            return;
        }

        Cpu.HaltByNmi();
        int self = Cpu.Number;
        for (int cpu = 0; cpu < Processors.Count; cpu++)
        {
            if (cpu != self && Processors.IsOnline(cpu))
            {
                Command(Processors.ApicId(cpu), LevelAssert | NmiDelivery);
            }
        }
    }

    private static void Command(uint apicId, uint command)
    {
        // In x2APIC mode the write does not wait for earlier stores by itself (SDM vol. 3, 11.12.3).
        Cpu.Fence();
        if (s_isX2Apic)
        {
            Cpu.WriteMsr(FirstMsr + (CommandLow >> 4), ((ulong)apicId << 32) | command);
            return;
        }

        WaitForCommand();
        Write(CommandHigh, apicId << 24);
        Write(CommandLow, command);
    }

    private static void WaitForCommand()
    {
        for (int i = 0; i < MaximumPolls && (Read(CommandLow) & DeliveryPending) != 0; i++)
        {
            Cpu.Pause();
        }
    }

    internal static void SetTimerMode(uint mode) => Write(TimerEntry, mode | SystemVectors.Timer);

    internal static void SetTimerMasked(uint divide)
    {
        Write(DivideBy, divide);
        Write(TimerEntry, Masked | SystemVectors.Timer);
    }

    internal static void SetTimerCount(uint count) => Write(InitialCount, count);

    internal static uint ReadTimerCount() => Read(CurrentCount);

    private static uint Read(int register) =>
        s_isX2Apic ? (uint)Cpu.ReadMsr(FirstMsr + (uint)(register >> 4)) : s_registers.Read32((ulong)register);

    private static void Write(int register, uint value)
    {
        if (s_isX2Apic)
        {
            Cpu.WriteMsr(FirstMsr + (uint)(register >> 4), value);
        }
        else
        {
            s_registers.Write32((ulong)register, value);
        }
    }
}
