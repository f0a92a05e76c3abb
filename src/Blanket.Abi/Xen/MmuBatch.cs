namespace Blanket.Abi.Xen;

/// <summary>What mmu_update and mmuext_op have in common.</summary>
public static class MmuBatch
{
    /// <summary>MMU_UPDATE_PREEMPTED: set in the count when a batch goes on after a preemption (internal to the hypervisor's ABI).</summary>
    public const uint Preempted = 0x80000000;
}
