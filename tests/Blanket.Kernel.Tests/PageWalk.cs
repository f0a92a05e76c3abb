using Blanket.Machine;

namespace Blanket.Kernel.Tests;

/// <summary>What the CPU makes of page tables in simulated memory: address and combined permissions.</summary>
internal readonly struct PageWalk
{
    internal bool IsPresent { get; init; }

    internal ulong Physical { get; init; }

    internal bool IsWritable { get; init; }

    internal bool IsUser { get; init; }

    internal bool IsExecutable { get; init; }

    internal bool IsUncached { get; init; }

    internal ulong PageSize { get; init; }

    internal static PageWalk Of(ulong root, ulong linear)
    {
        ulong table = root;
        bool writable = true, user = true, executable = true;
        for (int level = 4; level >= 1; level--)
        {
            int shift = 12 + (level - 1) * 9;
            ulong entry = PhysicalMemory.FrameAs<ulong>(table)[(int)(linear >> shift & 511)];
            if ((entry & 1) == 0)
            {
                return default;
            }

            writable &= (entry & 2) != 0;
            user &= (entry & 4) != 0;
            executable &= entry >> 63 == 0;
            if (level == 1 || (entry & 0x80) != 0)
            {
                ulong within = (1UL << shift) - 1;
                Assert.Equal(0ul, entry & 0x000ffffffffff000 & within);
                return new PageWalk
                {
                    IsPresent = true,
                    Physical = (entry & 0x000ffffffffff000) | (linear & within),
                    IsWritable = writable,
                    IsUser = user,
                    IsExecutable = executable,
                    IsUncached = (entry & 0x18) == 0x18,
                    PageSize = within + 1,
                };
            }

            table = (entry & 0x000ffffffffff000) >> 12;
        }

        return default;
    }
}
