using System.Runtime.CompilerServices;
using Blanket.Kernel.Platform.Acpi;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>The interrupt controllers for wired interrupts (82093AA datasheet; Intel ICH9 datasheet, 13.5). Every input is masked until routed.</summary>
internal static class IoApics
{
    private const ulong WindowLength = 0x20;
    private const ulong Index = 0x00, Data = 0x10;
    private const uint VersionRegister = 1, FirstRedirection = 0x10;
    private const uint Masked = 1 << 16, LevelTriggered = 1 << 15, ActiveLow = 1 << 13;

    /// <summary>A wired interrupt's destination has 8 bits, of which all ones mean everybody.</summary>
    private const uint LastDestination = 0xfe;

    private struct Controller
    {
        internal DeviceRegisters Registers;
        internal uint First;
        internal uint Count;
    }

    [InlineArray(Madt.MaximumIoApics)]
    private struct Controllers
    {
        private Controller _first;
    }

    private static Controllers s_controllers;
    private static int s_count;
    private static SpinLock s_lock;

    /// <summary>Inputs of all controllers.</summary>
    internal static uint InputCount
    {
        get
        {
            uint total = 0;
            for (int i = 0; i < s_count; i++)
            {
                total += s_controllers[i].Count;
            }

            return total;
        }
    }

    /// <summary>Maps the controllers and masks all their inputs; once at boot.</summary>
    internal static void Initialize(in Madt madt)
    {
        s_lock = new SpinLock(LockClass.Interrupts);
        s_count = 0;
        for (int i = 0; i < madt.IoApicCount; i++)
        {
            IoApicEntry entry = madt.IoApic(i);
            Add(DeviceMapping.Map(entry.Address, WindowLength), entry.FirstInterrupt);
        }

        Log.Line("interrupts: "u8).Text(LocalApic.IsX2Apic ? "x2APIC"u8 : "xAPIC"u8).Text(", "u8)
            .Decimal(InputCount).Text(" I/O APIC inputs"u8).End();
    }

    /// <summary>Adds a controller whose registers are mapped.</summary>
    internal static void Add(DeviceRegisters registers, uint first)
    {
        if (registers.Length < WindowLength || s_count == Madt.MaximumIoApics)
        {
            return;
        }

        uint count = (Read(registers, VersionRegister) >> 16 & 0xff) + 1;
        s_controllers[s_count++] = new Controller { Registers = registers, First = first, Count = count };
        for (uint input = 0; input < count; input++)
        {
            WriteEntry(registers, input, Masked, 0);
        }
    }

    /// <summary>Sends a global system interrupt to a CPU, and unmasks it.</summary>
    /// <returns>False when no controller has it or the CPU cannot be its destination.</returns>
    internal static bool TryRoute(WiredInterrupt interrupt, byte vector, uint apicId)
    {
        if (apicId > LastDestination)
        {
            return false;
        }

        for (int i = 0; i < s_count; i++)
        {
            Controller controller = s_controllers[i];
            if (interrupt.Number < controller.First || interrupt.Number - controller.First >= controller.Count)
            {
                continue;
            }

            uint low = vector | (interrupt.IsLevel ? LevelTriggered : 0) | (interrupt.IsActiveLow ? ActiveLow : 0);
            s_lock.Acquire();
            WriteEntry(controller.Registers, interrupt.Number - controller.First, low, apicId << 24);
            s_lock.Release();
            return true;
        }

        return false;
    }

    // Masked while it changes, so that no half of it is ever in effect.
    private static void WriteEntry(DeviceRegisters registers, uint input, uint low, uint high)
    {
        uint register = FirstRedirection + input * 2;
        Write(registers, register, Masked);
        Write(registers, register + 1, high);
        Write(registers, register, low);
    }

    private static uint Read(DeviceRegisters registers, uint register)
    {
        registers.Write32(Index, register);
        return registers.Read32(Data);
    }

    private static void Write(DeviceRegisters registers, uint register, uint value)
    {
        registers.Write32(Index, register);
        registers.Write32(Data, value);
    }
}
