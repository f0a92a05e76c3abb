using System;

namespace Blanket.TestKernel;

/// <summary>The scenarios that a domain survives, by name.</summary>
internal static unsafe class Catalogue
{
    internal static void Run(ReadOnlySpan<byte> only)
    {
        One(only, "pin"u8, &PageTableScenarios.Pin);
        One(only, "wrong-entries"u8, &PageTableScenarios.WrongEntries);
        One(only, "hypervisor-slots"u8, &PageTableScenarios.HypervisorSlots);
        One(only, "roots"u8, &PageTableScenarios.Roots);
        One(only, "linear-tables"u8, &PageTableScenarios.Linear);
        One(only, "batches"u8, &PageTableScenarios.Batches);
        One(only, "updates"u8, &PageTableScenarios.Updates);
        One(only, "foreign-frames"u8, &PageTableScenarios.ForeignFrames);
        One(only, "instructions"u8, &InstructionScenarios.Kernel);
        One(only, "user-mode"u8, &InstructionScenarios.User);
        One(only, "return-to-kernel"u8, &InstructionScenarios.ReturnToKernel);
        One(only, "pointers"u8, &ArgumentScenarios.Pointers);
        One(only, "counts"u8, &ArgumentScenarios.Counts);
        One(only, "multicall"u8, &ArgumentScenarios.Multicall);
        One(only, "domains"u8, &ArgumentScenarios.Domains);
        One(only, "privileged"u8, &ArgumentScenarios.Privileged);
        One(only, "descriptors"u8, &ArgumentScenarios.Descriptors);
        One(only, "reservations"u8, &ArgumentScenarios.Reservations);
        One(only, "run-states"u8, &RunStateScenarios.RunStates);
        One(only, "console-indexes"u8, &RingScenarios.ConsoleIndexes);
        One(only, "block-requests"u8, &BlockScenarios.Requests);
        One(only, "block-grants"u8, &BlockScenarios.Grants);
        One(only, "block-indirect"u8, &BlockScenarios.Indirect);
        One(only, "block-rings"u8, &BlockScenarios.Rings);
        One(only, "net-packets"u8, &NetScenarios.Packets);
        One(only, "net-buffers"u8, &NetScenarios.Buffers);
        One(only, "net-spoofing"u8, &NetScenarios.Spoofing);
        One(only, "net-rings"u8, &NetScenarios.Rings);
        One(only, "event-flood"u8, &RingScenarios.EventFlood);
        One(only, "store-indexes"u8, &RingScenarios.StoreIndexes);
    }

    private static void One(ReadOnlySpan<byte> only, ReadOnlySpan<byte> name, delegate*<void> scenario)
    {
        if (only.Length == 0 || only.SequenceEqual(name))
        {
            Report.Run(name, scenario);
        }
    }
}
