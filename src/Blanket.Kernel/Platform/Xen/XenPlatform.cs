using System;
using System.Runtime.CompilerServices;
using Blanket.Abi.Xen;
using Blanket.Drivers;
using Blanket.Drivers.Xen;
using Blanket.Drivers.Xen.Console;
using Blanket.Machine;

namespace Blanket.Kernel.Platform.Xen;

/// <summary>What L1 takes of a Xen that it runs on: calls, console, clock, event channels, grants, xenstore (docs/xen-l0.md).</summary>
internal static class XenPlatform
{
    // Offsets from the first of Xen's CPUID leaves (xen/include/public/arch-x86/cpuid.h).
    private const uint HypercallLeaf = 2;
    private const uint VcpuLeaf = 4;
    private const uint HasVcpuId = 1 << 3;

    private static HypercallPageCalls s_calls = null!;
    private static XenConsole? s_console;
    private static EventPorts s_events = null!;
    private static ulong s_sharedInfo;
    private static ulong s_vcpuInfos;
    private static byte s_vector;
    private static XenDevices? s_devices;
    private static SharedPage s_firstPage;
    private static SharedPage s_secondPage;

    /// <summary>Whether L0 is Xen and its calls can be used.</summary>
    internal static bool IsPresent { get; private set; }

    /// <summary>The console; null before it is there, and without Xen.</summary>
    internal static XenConsole? Console => s_console;

    /// <summary>What drivers use; null without Xen.</summary>
    internal static XenTransport? Transport { get; private set; }

    /// <summary>Installs the hypercall page and opens the console, so that the log is seen; once, in an allocation scope, with memory ready.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void CreateConsole()
    {
        if (L0.Kind != L0Kind.Xen)
        {
            return;
        }

        InstallHypercallPage();
        s_calls = new HypercallPageCalls();
        IsPresent = true;
        if (TryOpenPage(HvmParameter.ConsoleFrame, HvmParameter.ConsoleEventChannel, out DeviceRegisters ring, out uint port))
        {
            s_console = new XenConsole(s_calls, ring, port);
            Log.AddSink(new XenConsoleSink(s_console.Log));
        }
    }

    /// <summary>Takes what is typed on the console from now on: its ports are there. What came before waits in the ring.</summary>
    internal static void ListenToConsole()
    {
        if (s_console != null && s_events.Attach(s_console.EventPort, s_console))
        {
            s_console.Handle();
        }
    }

    /// <summary>Maps the shared frames; then the clock can be read. Once, in an allocation scope.</summary>
    internal static void InitializeSharedFrames()
    {
        if (!IsPresent)
        {
            return;
        }

        const int InfosPerFrame = Cpu.PageSize / VcpuInfo.Size;
        int order = Cpu.MaximumCpus > InfosPerFrame ? 1 : 0;
        Check.That(Cpu.MaximumCpus <= InfosPerFrame << order);
        if (!FrameAllocator.TryAllocateZeroed(out ulong sharedInfo) | !FrameAllocator.TryAllocate(order, ulong.MaxValue, out ulong infos))
        {
            Fail("no memory for what is shared with Xen"u8);
        }

        for (ulong i = 0; i < 1UL << order; i++)
        {
            PhysicalMemory.ZeroFrame(infos + i);
        }

        s_sharedInfo = sharedInfo << Cpu.PageShift;
        s_vcpuInfos = infos << Cpu.PageShift;
        MapSharedInfo();
        RegisterVcpuInfo(0);
    }

    /// <summary>The frequency of the TSC and the wall clock, from Xen's clock.</summary>
    internal static bool TryReadClock(out ulong kilohertz, out ulong wallClock)
    {
        kilohertz = 0;
        wallClock = 0;
        return IsPresent && XenClock.TryRead(s_sharedInfo, VcpuInfoAddress(0), out kilohertz, out wallClock);
    }

    /// <summary>Sets up event channels, grants and xenstore; once, in an allocation scope, with interrupts ready.</summary>
    internal static void CreateTransport(InterruptAllocator interrupts)
    {
        if (!IsPresent)
        {
            return;
        }

        s_events = new EventPorts(s_calls, s_sharedInfo, Cpu.MaximumCpus);
        if (!InterruptVectors.TryAllocate(new Upcall(), false, out s_vector))
        {
            Fail("no interrupt vector for Xen's events"u8);
        }

        InitializeThisCpu();
        Log.Line("xen: event channels have the "u8).Text(s_events.UsesFifo ? "FIFO"u8 : "two-level"u8).Text(" ABI"u8).End();
        GrantAccess? grants = GrantAccess.Create(s_calls);
        if (grants == null)
        {
            Log.Line("xen: no grant table: its devices cannot be used"u8).End();
            return;
        }

        XenbusStore store = XenbusStore.Create(s_events);
        if (!TryOpenPage(HvmParameter.StoreFrame, HvmParameter.StoreEventChannel, out DeviceRegisters ring, out uint port)
            || !store.Connect(ring, port))
        {
            Log.Line("xen: no xenstore: its devices cannot be used"u8).End();
            return;
        }

        Transport = new XenTransport(s_calls, grants, s_events, store, interrupts);
        EmulatedDevices.Unplug();
    }

    /// <summary>Has this CPU receive events; for each CPU once, the secondary ones when the transport is there. Nothing happens without Xen.</summary>
    internal static void InitializeThisCpu()
    {
        if (!IsPresent)
        {
            return;
        }

        int cpu = Cpu.Number;
        if (cpu != 0)
        {
            RegisterVcpuInfo(cpu);
        }

        uint vcpu = ThisVcpu;
        s_events.SetVcpuInfo(cpu, VcpuInfoAddress(cpu), vcpu);
        HvmEventUpcallVector argument = new() { Vcpu = vcpu, Vector = s_vector };
        if (s_calls.Call(HypercallNumber.HvmOp, HvmOp.SetEventUpcallVector, ref argument) != 0)
        {
            // Older Xens have one vector for all vCPUs.
            Check.That(SetCallback(HvmParameter.CallbackTypeVector | s_vector));
        }
        else if (cpu == 0)
        {
            // Xen's toolstack asks an HVM domain by control/shutdown only when it has a callback (libxl, libxl__domain_pvcontrol_available).
            // This one is never used: vCPUs with a vector of their own get no other event interrupt.
            SetCallback(HvmParameter.UnusedCallback);
        }

        s_events.TakeOver(cpu);
    }

    private static bool SetCallback(ulong value)
    {
        HvmParameterArgument callback = new() { Domain = DomainId.Self, Index = HvmParameter.CallbackInterrupt, Value = value };
        return s_calls.Call(HypercallNumber.HvmOp, HvmOp.SetParameter, ref callback) == 0;
    }

    /// <summary>Lets L0 save or migrate the domain; between other work, with all other CPUs parked.</summary>
    /// <returns>True when this is a new domain; false when it goes on as it was.</returns>
    internal static bool Suspend()
    {
        s_console?.Drain();

        // struct sched_shutdown is one reason. 1: the suspend was called off, or it was a mere checkpoint.
        uint argument = (uint)ShutdownReason.Suspend;
        return s_calls.Call(HypercallNumber.SchedOp, SchedOp.Shutdown, ref argument) == 0;
    }

    /// <summary>Makes anew what the domain shares with Xen and its services; with all other CPUs parked.</summary>
    internal static void ResumeTransport()
    {
        XenTransport transport = Transport!;
        InstallHypercallPage();
        MapSharedInfo();
        RegisterVcpuInfo(0);
        s_events.Reset();
        InitializeThisCpu();
        if (!transport.Grants.TryResume())
        {
            Fail("Xen does not map the grant table again"u8);
        }

        if (s_console != null && TryOpenPage(HvmParameter.ConsoleFrame, HvmParameter.ConsoleEventChannel, out DeviceRegisters ring, out uint port))
        {
            s_console.Restore(ring, port);
            s_events.Attach(port, s_console);
        }

        EmulatedDevices.Unplug();
    }

    /// <summary>Connects to the new xenstore and has all devices opened again.</summary>
    internal static void ResumeDevices()
    {
        if (!TryOpenPage(HvmParameter.StoreFrame, HvmParameter.StoreEventChannel, out DeviceRegisters ring, out uint port)
            || !Transport!.Store.Connect(ring, port))
        {
            Log.Line("xen: no xenstore after a restore: devices cannot be used"u8).End();
            return;
        }

        s_devices?.Restore();
    }

    /// <summary>Finds the domain's disks and network interfaces; once, in an allocation scope.</summary>
    internal static void CreateDevices(DeviceCollection found)
    {
        if (Transport != null)
        {
            s_devices = XenDevices.CreateAll(Transport, found);
        }
    }

    /// <summary>Ends the domain, once the console has taken what was logged; returns when Xen does not react, or L0 is not Xen.</summary>
    internal static void Shutdown(ShutdownReason reason)
    {
        if (!IsPresent)
        {
            return;
        }

        s_console?.Drain();

        // struct sched_shutdown is one reason.
        uint argument = (uint)reason;
        s_calls.Call(HypercallNumber.SchedOp, SchedOp.Shutdown, ref argument);
    }

    private static void InstallHypercallPage()
    {
        Cpu.Cpuid(L0.BaseLeaf + HypercallLeaf, 0, out _, out uint msr, out _, out _);
        XenHypercallPage.Install(msr);
    }

    private static void MapSharedInfo()
    {
        if (s_calls.MapFrame(MemoryAddToPhysmap.SpaceSharedInfo, 0, s_sharedInfo >> Cpu.PageShift) != 0)
        {
            Fail("Xen does not map the shared info page"u8);
        }
    }

    private static ulong VcpuInfoAddress(int cpu) => s_vcpuInfos + (uint)(cpu * VcpuInfo.Size);

    private static void RegisterVcpuInfo(int cpu)
    {
        ulong address = VcpuInfoAddress(cpu);
        VcpuRegisterVcpuInfo argument = new() { Frame = address >> Cpu.PageShift, Offset = (uint)(address & (Cpu.PageSize - 1)) };
        if (s_calls.CallVcpu(VcpuOp.RegisterVcpuInfo, ThisVcpu, ref argument) != 0)
        {
            Fail("Xen does not take a place for a vCPU's information"u8);
        }
    }

    /// <summary>Xen's number of this CPU: it says so, or it is half the local APIC's id.</summary>
    private static uint ThisVcpu
    {
        get
        {
            Cpu.Cpuid(L0.BaseLeaf + VcpuLeaf, 0, out uint flags, out uint vcpu, out _, out _);
            return (flags & HasVcpuId) != 0 ? vcpu : CpuFeatures.CurrentApicId / 2;
        }
    }

    private static bool TryOpenPage(uint frameParameter, uint portParameter, out DeviceRegisters page, out uint port)
    {
        page = default;
        port = 0;
        if (!s_calls.TryGetParameter(frameParameter, out ulong frame) || !s_calls.TryGetParameter(portParameter, out ulong number)
            || frame == 0 || number is 0 or > uint.MaxValue || frame >= PhysicalRange.AddressLimit >> Cpu.PageShift)
        {
            return false;
        }

        port = (uint)number;
        ref SharedPage known = ref s_firstPage.Parameter == 0 || s_firstPage.Parameter == frameParameter ? ref s_firstPage : ref s_secondPage;
        if (known.Parameter != frameParameter || known.Frame != frame)
        {
            // Windows are for good: a page that is where it was before a restore keeps its own.
            known.Parameter = frameParameter;
            known.Frame = frame;
            known.Window = DeviceMapping.MapShared(frame << Cpu.PageShift, Cpu.PageSize);
        }

        page = known.Window;
        return page.Length != 0;
    }

    private static void Fail(ReadOnlySpan<byte> what)
    {
        Log.Line("xen: "u8).Text(what).End();
        Check.Fail();
    }

    /// <summary>A page of Xen's services that is mapped.</summary>
    private struct SharedPage
    {
        public uint Parameter;
        public ulong Frame;
        public DeviceRegisters Window;
    }

    private sealed class Upcall : InterruptHandler
    {
        public override void Handle() => s_events.HandleUpcall(Cpu.Number);
    }
}
