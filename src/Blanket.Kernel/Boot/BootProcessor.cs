using Blanket.Kernel.Entry;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel.Boot;

/// <summary>Makes the boot CPU ready to run guests.</summary>
internal static unsafe class BootProcessor
{
    /// <summary>Loads descriptor tables, system-call entry and control registers; in an allocation scope.</summary>
    internal static void Start()
    {
        if (!FrameAllocator.TryAllocateZeroed(out ulong interruptTable) | !FrameAllocator.TryAllocateZeroed(out ulong globalTable))
        {
            Panic.Stop("no memory for descriptor tables"u8);
        }

        CpuSetup.BuildInterruptTable(interruptTable);
        DescriptorTables tables = new();
        Core.Memory.DescriptorWindow.Current = tables;
        CpuBlock* block = CpuBlockAccess.Current;
        block->CpuNumber = 0;
        block->ApicId = CpuFeatures.CurrentApicId;
        tables.SetReservedFrame(0, globalTable);
        CpuSetup.BuildGlobalTable(globalTable, block);
        CpuSetup.Load(block, CpuFeatures.ExtendedComponents, allowSmap: L0.Kind != L0Kind.Tcg);
        Processors.SetOnline(0);
    }
}
