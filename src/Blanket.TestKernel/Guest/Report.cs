using System;

namespace Blanket.TestKernel;

/// <summary>Counts what scenarios check and says what was not as expected: lines that the boot test reads.</summary>
internal static unsafe class Report
{
    private static int s_passed;
    private static int s_failed;

    /// <summary>Checks that failed so far.</summary>
    internal static int Failed => s_failed;

    /// <summary>Runs a scenario, then takes back its frames, which must be ordinary memory again.</summary>
    internal static void Run(ReadOnlySpan<byte> name, delegate*<void> scenario)
    {
        int passed = s_passed;
        int failed = s_failed;
        ulong mark = Domain.NextFrame;
        Trap.Register();
        scenario();
        Reclaim(mark);
        Output.Text("scenario "u8);
        Output.Text(name);
        if (s_failed == failed)
        {
            Output.Text(": passed, checks "u8);
            Output.Number(s_passed - passed);
        }
        else
        {
            Output.Text(": FAILED, checks that failed "u8);
            Output.Number(s_failed - failed);
        }

        Output.End();
    }

    internal static void Total()
    {
        Output.Text("testkernel: checks passed "u8);
        Output.Number(s_passed);
        Output.Text(", failed "u8);
        Output.Number(s_failed);
        Output.End();
    }

    /// <summary>Checks a hypercall's result: 0 or a positive number, or an errno as Xen returns it.</summary>
    internal static void Equal(ReadOnlySpan<byte> what, long actual, long expected)
    {
        if (actual == expected)
        {
            s_passed++;
            return;
        }

        Fail(what);
        Output.Number(actual);
        Output.Text(", expected "u8);
        Output.Number(expected);
        Output.End();
    }

    internal static void True(ReadOnlySpan<byte> what, bool condition) => Equal(what, condition ? 1 : 0, 1);

    /// <summary>Checks how the last guarded call ended.</summary>
    internal static void Trapped(ReadOnlySpan<byte> what, ulong vector)
    {
        ulong actual = Trap.Vector;
        if (actual == vector)
        {
            s_passed++;
            return;
        }

        Fail(what);
        Output.Text("trap "u8);
        Output.Hex(actual);
        Output.Text(", error code "u8);
        Output.Hex(Trap.ErrorCode);
        Output.Text(", expected trap "u8);
        Output.Hex(vector);
        Output.End();
    }

    private static void Fail(ReadOnlySpan<byte> what)
    {
        s_failed++;
        Output.Text("check failed: "u8);
        Output.Text(what);
        Output.Text(": "u8);
    }

    /// <summary>Takes frames back that were taken since a mark; they must be ordinary memory again.</summary>
    internal static void Reclaim(ulong mark)
    {
        for (ulong pfn = mark; pfn < Domain.NextFrame; pfn++)
        {
            long result = Domain.SetHome(pfn, PageEntry.ReadWritePage);
            if (result != 0)
            {
                Equal("a frame of the scenario is ordinary memory again"u8, result, 0);
                return;
            }

            new Span<byte>((void*)Domain.Home(pfn), (int)PageEntry.PageSize).Clear();
        }

        Domain.GiveBack(mark);
    }
}
