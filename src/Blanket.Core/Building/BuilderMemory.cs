using System;
using System.Numerics;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>Gives a domain under construction its frames: zeroed, in blocks of up to 64.</summary>
internal static class BuilderMemory
{
    /// <summary>Order of the largest blocks that are taken: zeroing one takes a small part of a turn.</summary>
    internal const int MaximumOrder = 6;

    private const ulong EntriesBetweenChecks = 512;

    /// <summary>Allocates all pages of a domain and enters them into <paramref name="pages"/> and the machine-to-physical table.</summary>
    /// <param name="domain">Their owner.</param>
    /// <param name="layout">Where the p2m list is.</param>
    /// <param name="count">How many pages.</param>
    /// <param name="pages">Where they are entered.</param>
    /// <param name="steps">Four steps.</param>
    /// <param name="order">Order of the largest blocks to try; those that were refused once are not tried again.</param>
    /// <returns>
    /// <see cref="BuildStatus.Ok"/>, <see cref="BuildStatus.Unfinished"/>, or <see cref="BuildStatus.OutOfMemory"/>; the frames that the domain has by then are the domain's.
    /// </returns>
    internal static BuildStatus Populate(Domain domain, in DomainLayout layout, ulong count, in DomainPages pages, ref StepProgress steps, ref int order)
    {
        // The p2m list first: its frames are the leaves of the tree that everything else is entered into.
        BuildStatus status = AddLeaves(domain, layout, pages, ref steps, ref order);
        status = status == BuildStatus.Ok ? EnterLeaves(layout, pages, ref steps) : status;
        status = status == BuildStatus.Ok ? Fill(domain, 0, layout.P2MPfn, pages, ref steps, ref order) : status;
        ulong behind = layout.P2MPfn + layout.P2MPages;
        return status == BuildStatus.Ok ? Fill(domain, behind, count - behind, pages, ref steps, ref order) : status;
    }

    private static BuildStatus AddLeaves(Domain domain, in DomainLayout layout, in DomainPages pages, ref StepProgress steps, ref int order)
    {
        if (!steps.TryEnter())
        {
            return BuildStatus.Ok;
        }

        while (steps.Part < layout.P2MPages)
        {
            if (!TryTake(domain, layout.P2MPages - steps.Part, ref order, out ulong frame, out ulong size))
            {
                return BuildStatus.OutOfMemory;
            }

            for (ulong i = 0; i < size; i++)
            {
                if (!pages.TryAddLeaf(steps.Part + i, frame + i))
                {
                    return BuildStatus.OutOfMemory;
                }
            }

            steps.Part += size;
            if (Preemption.IsNeeded)
            {
                return BuildStatus.Unfinished;
            }
        }

        steps.Leave();
        return BuildStatus.Ok;
    }

    // Their own pages, when all leaves are there: the entry may be in any of them.
    private static BuildStatus EnterLeaves(in DomainLayout layout, in DomainPages pages, ref StepProgress steps)
    {
        if (!steps.TryEnter())
        {
            return BuildStatus.Ok;
        }

        while (steps.Part < layout.P2MPages)
        {
            Enter(layout.P2MPfn + steps.Part, pages.LeafFrame(steps.Part), 1, pages);
            steps.Part++;
            if (steps.Part % EntriesBetweenChecks == 0 && Preemption.IsNeeded)
            {
                return BuildStatus.Unfinished;
            }
        }

        steps.Leave();
        return BuildStatus.Ok;
    }

    private static BuildStatus Fill(Domain domain, ulong pfn, ulong count, in DomainPages pages, ref StepProgress steps, ref int order)
    {
        if (!steps.TryEnter())
        {
            return BuildStatus.Ok;
        }

        while (steps.Part < count)
        {
            if (!TryTake(domain, count - steps.Part, ref order, out ulong frame, out ulong size))
            {
                return BuildStatus.OutOfMemory;
            }

            Enter(pfn + steps.Part, frame, size, pages);
            steps.Part += size;
            if (Preemption.IsNeeded)
            {
                return BuildStatus.Unfinished;
            }
        }

        steps.Leave();
        return BuildStatus.Ok;
    }

    // The largest block that is there and not more than is wanted; sizes that were refused once are not tried again.
    private static bool TryTake(Domain domain, ulong wanted, ref int order, out ulong frame, out ulong size)
    {
        int fitting = Math.Min(order, BitOperations.Log2(wanted));
        while (!FrameOwnership.TryAllocate(domain, fitting, ulong.MaxValue, out frame))
        {
            if (fitting == 0)
            {
                size = 0;
                return false;
            }

            fitting--;
            order = fitting;
        }

        size = 1UL << fitting;
        return true;
    }

    private static void Enter(ulong pfn, ulong frame, ulong count, in DomainPages pages)
    {
        pages.SetRange(pfn, frame, count);
        for (ulong i = 0; i < count; i++)
        {
            MachineToPhysical.Set(frame + i, pfn + i);
        }
    }
}
