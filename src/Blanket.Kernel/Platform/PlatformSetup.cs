using System;
using Blanket.Kernel.Boot;
using Blanket.Kernel.Platform.Acpi;
using Blanket.Kernel.Platform.Time;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>Brings the machine up on the boot CPU, in the one order that works.</summary>
public static class PlatformSetup
{
    private const int LogRingBytes = 16384;

    /// <summary>
    /// Everything from the first C# instruction to a machine with memory, log, interrupt controllers and time; device
    /// interrupts stay disabled. Afterwards 'new' is directed to <see cref="Memory.BootArena"/>.
    /// </summary>
    /// <param name="protocol">First argument of boot_main.</param>
    /// <param name="address">Second argument of boot_main.</param>
    /// <returns>False, after a log line that says why, when the machine cannot be used.</returns>
    public static bool TryInitialize(uint protocol, ulong address)
    {
        ulong bootTsc = Cpu.ReadTsc();
        if (!Memory.InitializeEarly())
        {
            return false;
        }

        StartLog();
        ref readonly BootInformation information = ref BootInformation.Parse(protocol, address);
        LogBoot(in information);
        if (information.Status != BootStatus.Valid)
        {
            return false;
        }

        CpuFeatures.Detect();
        L0.Detect();
        AcpiInformation.Read(information.RootPointer);
        Processors.Enumerate(in AcpiInformation.Madt, CpuFeatures.CurrentApicId);
        LogMachine();
        return TryInitializeMemory(in information) && TryInitializeControllers(bootTsc);
    }

    private static void StartLog()
    {
        Log.Initialize(LogRingBytes);
        SerialPort? serial = SerialPort.CreateCom1();
        if (serial != null)
        {
            Log.AddSink(serial);
        }
    }

    private static void LogBoot(in BootInformation information)
    {
        ReadOnlySpan<byte> protocol = information.Protocol switch
        {
            BootProtocol.Pvh => "PVH"u8,
            BootProtocol.Multiboot2 => "multiboot2"u8,
            _ => "an unknown protocol"u8,
        };
        ReadOnlySpan<byte> problem = information.Status switch
        {
            BootStatus.Valid => default,
            BootStatus.OutOfReach => ": its information lies above 4 GiB"u8,
            BootStatus.NoMemory => ": it reports no usable memory"u8,
            BootStatus.Malformed => ": its information is malformed"u8,
            _ => ": cannot go on"u8,
        };
        Log.Line("booted by "u8).Text(protocol).Text(problem).End();
        if (information.CommandLine.Length != 0)
        {
            Log.Line("command line "u8).Quoted(information.CommandLine).End();
        }

        if (information.IsMapTruncated)
        {
            Log.Line("memory: firmware's map has too many pieces; some memory stays unused"u8).End();
        }
    }

    private static void LogMachine()
    {
        Log.Line("L0 is "u8).Text(L0.Name).End();
        if (!AcpiInformation.Exists)
        {
            Log.Line("ACPI: no tables"u8).End();
        }

        if (AcpiInformation.Madt.ProcessorsLeftOut != 0)
        {
            Log.Line("CPUs: "u8).Decimal((ulong)AcpiInformation.Madt.ProcessorsLeftOut).Text(" more than can be used"u8).End();
        }
    }

    private static bool TryInitializeMemory(in BootInformation information)
    {
        if (!CpuFeatures.Has(CpuFeature.NoExecute))
        {
            Log.Line("the CPU has no no-execute pages"u8).End();
            return false;
        }

        if (!Memory.Initialize(in information, CpuFeatures.Has(CpuFeature.HugePages), Processors.Count))
        {
            Log.Line("memory: too little of it"u8).End();
            return false;
        }

        Log.Line("memory: "u8).Decimal(Memory.UsableFrames >> 8).Text(" MiB, "u8).Decimal(FrameAllocator.FreeFrames >> 8)
            .Text(" MiB free, boot bundle "u8).Decimal(information.Bundle.Length >> 10).Text(" KiB"u8).End();
        return true;
    }

    private static bool TryInitializeControllers(ulong bootTsc)
    {
        LegacyInterruptControllers.Silence();
        InterruptVectors.Initialize();
        DeferredHandlers.Initialize(Processors.Count);
        PowerControl.Initialize();
        if (!LocalApic.TryInitialize())
        {
            Log.Line("interrupts: no local APIC"u8).End();
            return false;
        }

        IoApics.Initialize(in AcpiInformation.Madt);
        CpuRequests.Initialize(new CpuInterrupter());
        LogControllers();
        return TimeSetup.TryInitialize(bootTsc) && TimerDevice.TryInitialize();
    }

    private static void LogControllers()
    {
        Log.Line("interrupts: "u8).Text(LocalApic.IsX2Apic ? "x2APIC"u8 : "xAPIC"u8).Text(", "u8).Decimal((ulong)Processors.Count)
            .Text(" CPUs, "u8).Decimal(IoApics.InputCount).Text(" I/O APIC inputs"u8).End();
    }
}
