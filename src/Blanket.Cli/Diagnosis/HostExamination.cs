using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;

namespace Blanket.Cli.Diagnosis;

/// <summary>Looks at everything that a run depends on.</summary>
internal static class HostExamination
{
    private const long MinimumMemoryMiB = 1024;
    private const long MinimumDiskMiB = 1024;

    /// <summary>Everything that was looked at.</summary>
    internal static async Task<IReadOnlyList<Finding>> ExamineAsync(CancellationToken cancellation)
    {
        List<Finding> findings = [ExamineProcessor(), ExamineSystem(), await ExamineSdkAsync(cancellation).ConfigureAwait(false)];
        findings.AddRange(HostPackages.Read().Select(ExaminePackage));
        findings.Add(await ExamineAcceleratorAsync(cancellation).ConfigureAwait(false));
        findings.Add(ExamineMemory());
        findings.Add(ExamineDisk());
        findings.Add(ExamineImage());
        return findings;
    }

    private static Finding ExamineProcessor() =>
        RuntimeInformation.OSArchitecture == Architecture.X64
            ? new Finding(Grade.Good, "processor", $"x86-64, {Environment.ProcessorCount} CPUs")
            : new Finding(Grade.Missing, "processor", $"{RuntimeInformation.OSArchitecture}, expected x86-64");

    private static Finding ExamineSystem()
    {
        string release = File.Exists("/etc/debian_version") ? File.ReadAllText("/etc/debian_version").Trim() : string.Empty;
        return release.StartsWith("12", StringComparison.Ordinal)
            ? new Finding(Grade.Good, "system", $"Debian {release}")
            : new Finding(Grade.Optional, "system", $"{RuntimeInformation.OSDescription}; tested on Debian 12");
    }

    private static async Task<Finding> ExamineSdkAsync(CancellationToken cancellation)
    {
        ToolResult result = await Tool.RunAsync("dotnet", ["--version"], default, Project.Root, cancellation: cancellation).ConfigureAwait(false);
        return result.ExitCode == 0
            ? new Finding(Grade.Good, ".NET SDK", result.Text.Trim())
            : new Finding(Grade.Missing, ".NET SDK", "no version that global.json accepts");
    }

    private static Finding ExaminePackage(HostPackage package) => package switch
    {
        { IsPresent: true } => new Finding(Grade.Good, package.Program, $"for {package.Purpose}"),
        { IsOptional: true } => new Finding(Grade.Optional, package.Program, $"for {package.Purpose}: apt-get install {package.Package}"),
        _ => new Finding(Grade.Missing, package.Program, $"for {package.Purpose}: apt-get install {package.Package}"),
    };

    private static async Task<Finding> ExamineAcceleratorAsync(CancellationToken cancellation)
    {
        if (Tool.Find(QemuCommandLine.Program) is null)
        {
            return new Finding(Grade.Missing, "accelerator", "unknown without QEMU");
        }

        Accelerator accelerator = await AcceleratorProbe.ProbeAsync(cancellation).ConfigureAwait(false);
        return new Finding(accelerator.IsKvm ? Grade.Good : Grade.Slow, "accelerator", $"{accelerator.Name}: {accelerator.Reason}");
    }

    private static Finding ExamineMemory()
    {
        long available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 20;
        return new Finding(available >= MinimumMemoryMiB ? Grade.Good : Grade.Missing, "memory", $"{available} MiB, expected at least {MinimumMemoryMiB}");
    }

    private static Finding ExamineDisk()
    {
        Directory.CreateDirectory(CacheDirectory.Root);
        long available = new DriveInfo(CacheDirectory.Root).AvailableFreeSpace >> 20;
        string detail = $"{available} MiB free in {CacheDirectory.Root}, expected at least {MinimumDiskMiB}";
        return new Finding(available >= MinimumDiskMiB ? Grade.Good : Grade.Missing, "disk", detail);
    }

    private static Finding ExamineImage() => File.Exists(Project.Image)
        ? new Finding(Grade.Good, "blanket.elf", $"built {File.GetLastWriteTime(Project.Image):u}")
        : new Finding(Grade.Good, "blanket.elf", "not built yet; the first run builds it");
}
