namespace Blanket.TestKernel;

/// <summary>Pseudo-random numbers, a sequence a vCPU, the same for the same seed (xorshift64*).</summary>
internal static unsafe class Dice
{
    internal static void Seed(ulong seed) => VcpuRegion.Current->Seed = unchecked(seed * 0x9e37_79b9_7f4a_7c15 + 1) | 1;

    internal static ulong Next()
    {
        ulong state = VcpuRegion.Current->Seed;
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        VcpuRegion.Current->Seed = state;
        return unchecked(state * 0x2545_f491_4f6c_dd1d) >> 8;
    }

    /// <summary>A number below a limit.</summary>
    internal static uint Below(uint limit) => (uint)(Next() % limit);

    /// <summary>True once in so many times.</summary>
    internal static bool Once(uint times) => Below(times) == 0;

    /// <summary>A number that is likely to be at some limit.</summary>
    internal static ulong Interesting()
    {
        switch (Below(12))
        {
            case 0:
                return 0;
            case 1:
                return ulong.MaxValue;
            case 2:
                return uint.MaxValue;
            case 3:
                return unchecked((1UL << (int)Below(64)) - Below(3) + 1);
            case 4:
                return unchecked(0UL - Below(64));
            case 5:
                return Pool.AnyFrame();
            case 6:
                return Pool.AnyAddress();
            case 7:
                return Pool.AnyFrame() << PageEntry.PageShift | Below(4096);
            case 8:
                return Next() << 8;
            default:
                return Below(70);
        }
    }

    /// <summary>The id of a domain: mostly this one.</summary>
    internal static ushort DomainNumber()
    {
        switch (Below(16))
        {
            case 0:
                return (ushort)Below(6);
            case 1:
                return (ushort)(0x7fe0 + Below(32));
            case 2:
                return (ushort)Next();
            default:
                return Abi.Xen.DomainId.Self;
        }
    }
}
