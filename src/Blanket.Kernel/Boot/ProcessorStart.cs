using System.Threading;
using Blanket.Kernel.Entry;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Platform.Xen;
using Blanket.Machine;

namespace Blanket.Kernel.Boot;

/// <summary>Makes every CPU ready to run guests; the secondary ones then wait until the rest of the hypervisor is.</summary>
internal sealed unsafe class ProcessorStart : SecondaryEntry
{
    private static DescriptorTables s_tables = null!;
    private static bool s_mayRun;

    /// <summary>The boot CPU, then all others; in an allocation scope.</summary>
    internal static void StartAll()
    {
        if (!FrameAllocator.TryAllocateZeroed(out ulong interruptTable))
        {
            Panic.Stop("no memory for descriptor tables"u8);
        }

        CpuSetup.BuildInterruptTable(interruptTable);
        s_tables = new DescriptorTables();
        Core.Memory.DescriptorWindow.Current = s_tables;
        CpuBlock* block = CpuBlockAccess.Current;
        block->CpuNumber = 0;
        block->ApicId = CpuFeatures.CurrentApicId;
        Load(block);
        Processors.SetOnline(0);
        SecondaryCpus.Start(new ProcessorStart());
    }

    /// <summary>Scheduler, devices and services are there: the secondary CPUs begin to work.</summary>
    internal static void ReleaseSecondaries()
    {
        Volatile.Write(ref s_mayRun, true);
        for (int cpu = 1; cpu < Processors.OnlineCount; cpu++)
        {
            CpuRequests.Prompt(cpu);
        }
    }

    /// <inheritdoc/>
    public override void Run(int cpu)
    {
        Load(CpuBlockAccess.Current);
        while (!Volatile.Read(ref s_mayRun))
        {
            Cpu.WaitForInterrupt();
        }

        XenPlatform.InitializeThisCpu();
        PendingWork.Raise();
        Privileged.ResumeExitPath();
    }

    private static void Load(CpuBlock* block)
    {
        if (!FrameAllocator.TryAllocateZeroed(out ulong globalTable))
        {
            Panic.Stop("no memory for descriptor tables"u8);
        }

        s_tables.SetReservedFrame(block->CpuNumber, globalTable);
        CpuSetup.BuildGlobalTable(globalTable, block);
        CpuSetup.Load(block, CpuFeatures.ExtendedComponents, allowSmap: L0.Kind != L0Kind.Tcg);
    }
}
