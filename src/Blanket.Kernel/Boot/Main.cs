using System.Runtime;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Memory;
using Blanket.Core.Processor;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Drivers.Pci;
using Blanket.Drivers.Virtio;
using Blanket.Kernel.Entry;
using Blanket.Kernel.Guests;
using Blanket.Kernel.Management;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Platform.Acpi;
using Blanket.Kernel.Platform.Time;
using Blanket.Kernel.Platform.Xen;
using Blanket.Kernel.Services;
using Blanket.Machine;

namespace Blanket.Kernel.Boot;

/// <summary>Boot, in the order in which the parts need each other: memory, platform, core, devices, services, guests.</summary>
internal static unsafe class Main
{
    private const int LogBytes = 16 * 1024;
    private const int MaximumServiceChannels = 4096;

    [RuntimeExport("boot_main")]
    private static void Run(uint protocol, uint informationAddress)
    {
        ulong bootTsc = Cpu.ReadTsc();
        if (!Memory.InitializeEarly())
        {
            Cpu.Stop();
        }

        Log.Initialize(LogBytes);
        AddSerialConsole();
        Log.Line("Blanket starts"u8).End();
        ref readonly BootInformation information = ref BootInformation.Parse(protocol, informationAddress);
        CpuFeatures.Detect();
        L0.Detect();
        Log.Line("L0 "u8).Text(L0.Name).End();
        if (information.Status != BootStatus.Valid)
        {
            Log.Line("boot information is unusable, status "u8).Decimal((ulong)information.Status).End();
            Cpu.Stop();
        }

        if (!Memory.Initialize(in information, CpuFeatures.Has(Platform.CpuFeature.HugePages), Cpu.MaximumCpus))
        {
            Panic.Stop("not enough memory"u8);
        }

        XenPlatform.CreateConsole();
        StartPlatform(bootTsc);
        StartCore();
        StartDevices();
        Memory.BootArena.Leave();
        StartGuests(in information);
        Privileged.ResumeExitPath();
    }

    private static void AddSerialConsole()
    {
        SerialPort? port = SerialPort.CreateCom1();
        if (port != null)
        {
            Log.AddSink(port);
        }
    }

    private static void StartPlatform(ulong bootTsc)
    {
        LegacyInterruptControllers.Silence();
        InterruptVectors.Initialize();
        if (!LocalApic.TryInitialize())
        {
            Panic.Stop("the local APIC cannot be mapped"u8);
        }

        Processors.Enumerate(in AcpiInformation.Madt, CpuFeatures.CurrentApicId);
        IoApics.Initialize(in AcpiInformation.Madt);
        XenPlatform.InitializeSharedFrames();
        if (!TimeSetup.TryInitialize(bootTsc) || !TimerDevice.TryInitialize())
        {
            Panic.Stop("no clock to measure time with"u8);
        }

        PowerControl.Initialize();
        CpuRequests.Initialize(new CpuInterrupter());
        DeferredHandlers.Initialize(Cpu.MaximumCpus);
        ProcessorStart.StartAll();
    }

    private static void StartCore()
    {
        FrameOwners.Initialize();
        FrameQuarantine.Initialize();
        MachineToPhysical.Initialize(Memory.MachineToPhysicalAddress, Memory.MachineToPhysicalEntries);
        HypervisorSlots.Initialize(HypervisorRoot.Slots);
        TlbFlush.Initialize(new CrossCpuTlb());
        Scheduler.Initialize(Processors.OnlineCount);
        GracePeriod.Initialize(Processors.OnlineCount);
        VcpuSwitch.Initialize();
        VcpuNotifier.Install(new EventWaker());
        ServiceChannels.Initialize(MaximumServiceChannels, Processors.OnlineCount);
        CpuidPolicy.Use(new CpuidPolicy(new HardwareCpuid()));
    }

    private static void StartDevices()
    {
        DeviceRegistry.Initialize();
        DeviceInterrupts interrupts = new();
        XenPlatform.CreateTransport(interrupts);
        XenPlatform.CreateDevices(DeviceRegistry.Found);
        PciConfiguration? pci = PciHost.CreateConfiguration();
        if (pci != null)
        {
            VirtioDevices.Probe(pci, new DeviceRegisterMapper(), interrupts, DeviceRegistry.Found);
        }

        StoreService.Initialize(SecretKey.Create(), SecretKey.Create());
        BackendService.Initialize();
        ManagementService.Initialize();
        MachineShutdown.Create();
        if (XenPlatform.Transport != null)
        {
            XenRequests.Create(XenPlatform.Transport.Store);
            MachineBalloon.Create(XenPlatform.Transport);
        }
    }

    private static void StartGuests(in BootInformation information)
    {
        Memory.BootArena.Enter();
        bool hasGuests = GuestManager.Initialize(information.Bundle.Start, information.Bundle.Length);
        XenPlatform.ListenToConsole();
        Memory.BootArena.Leave();
        if (!hasGuests)
        {
            Panic.Stop("nothing to run"u8);
        }

        Audit.Report();
        FrameAllocator.Reserve = GuestManager.ReservedFrames;
        FrameAllocator.ArenaReserve = GuestManager.ArenaFrames;
        ProcessorStart.ReleaseSecondaries();
        GuestManager.StartAll();
    }
}
