using System;
using System.Runtime;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>
/// What runs: <c>crash=NAME</c>, a scenario that must cost the domain its life; <c>fuzz=ITERATIONS seed=N</c>; or, without either, every
/// scenario that the domain survives (<c>only=NAME</c>: one of them).
/// </summary>
internal static unsafe class Main
{
    [RuntimeExport("kernel_main")]
    private static void Run(StartInfo* start)
    {
        Domain.Initialize(start);
        Output.Initialize();
        Trap.Initialize();
        Domain.MapAll();
        ReadOnlySpan<byte> crash = Options.Value("crash"u8);
        if (crash.Length > 0)
        {
            CrashScenarios.Run(crash);
            Output.Line("testkernel: still alive"u8);
            Domain.Shutdown(ShutdownReason.PowerOff);
        }

        ulong iterations = Options.Number("fuzz"u8, 0);
        if (iterations > 0)
        {
            Fuzzer.Run(iterations, Options.Number("seed"u8, 1));
        }
        else
        {
            Catalogue.Run(Options.Value("only"u8));
        }

        Report.Total();
        Domain.Shutdown(ShutdownReason.PowerOff);
    }

    [RuntimeExport("vcpu_main")]
    private static void RunSecondary(ulong number)
    {
    }
}
