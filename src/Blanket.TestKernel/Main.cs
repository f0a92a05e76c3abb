using System;
using System.Runtime;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>
/// What runs: <c>crash=NAME</c>, a scenario that must cost the domain its life; <c>fuzz=ITERATIONS</c> or <c>storm=ITERATIONS</c>, with
/// <c>seed=N</c> and <c>peer=DOMAIN</c>, on all vCPUs; <c>sleep=1</c>, nothing; <c>flood=1</c>, a neighbour that asks for much (<see cref="Flood"/>); or, without any, every scenario that the domain survives (<c>only=NAME</c>: one of them).
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

        if (Options.Number("sleep"u8, 0) != 0)
        {
            Domain.Sleep();
        }

        ulong fuzz = Options.Number("fuzz"u8, 0);
        ulong storm = Options.Number("storm"u8, 0);
        if (fuzz + storm > 0)
        {
            Fuzzer.Run(fuzz + storm, Options.Number("seed"u8, 1), isStorm: storm > 0);
        }
        else if (Options.Number("flood"u8, 0) != 0)
        {
            Flood.Run();
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
        Trap.Register();
        if (RunStateScenarios.IsObserved)
        {
            RunStateScenarios.RunSecondary();
        }

        Fuzzer.RunSecondary();
    }
}
