using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Qemu;

/// <summary>The process of QEMU. It ends with this one, however this one ends.</summary>
internal sealed class QemuProcess
{
    private const int MaximumDiagnostics = 64 << 10;

    private readonly Process _process;
    private readonly StringBuilder _diagnostics = new();
    private readonly TaskCompletionSource<int> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private QemuProcess(Process process) => _process = process;

    internal Task<int> Exited => _exited.Task;

    internal int Id => _process.Id;

    internal string Diagnostics
    {
        get
        {
            lock (_diagnostics)
            {
                return _diagnostics.ToString();
            }
        }
    }

    /// <summary>
    /// Starts QEMU under setpriv, which asks the kernel to end it when the thread that started it does (PR_SET_PDEATHSIG);
    /// so a thread of its own starts it and lives as long as it. In a session of its own it gets no signal of the terminal,
    /// where Ctrl-C may be meant for a debugger.
    /// </summary>
    internal static QemuProcess Start(IReadOnlyList<string> arguments)
    {
        ProcessStartInfo start = new("setsid", ["setpriv", "--pdeathsig", "KILL", QemuCommandLine.Program, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        QemuProcess result = new(new Process { StartInfo = start });
        TaskCompletionSource started = new();
        Thread keeper = new(() => result.Run(started)) { IsBackground = true, Name = "QEMU" };
        keeper.Start();
        started.Task.GetAwaiter().GetResult();
        return result;
    }

    internal void Kill()
    {
        try
        {
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has ended by itself.
        }
    }

    private void Run(TaskCompletionSource started)
    {
        try
        {
            _process.OutputDataReceived += (_, line) => Note(line.Data);
            _process.ErrorDataReceived += (_, line) => Note(line.Data);
            _process.Start();
            _process.StandardInput.Close();
            _process.BeginOutputReadLine();
            _process.BeginErrorReadLine();
            started.SetResult();
        }
        catch (Win32Exception e)
        {
            started.SetException(new HostException($"QEMU cannot be started ({e.Message}); ./blanket doctor says what is missing"));
            return;
        }

        _process.WaitForExit();
        _exited.SetResult(_process.ExitCode);
    }

    private void Note(string? line)
    {
        lock (_diagnostics)
        {
            if (line is not null && _diagnostics.Length < MaximumDiagnostics)
            {
                _diagnostics.AppendLine(line);
            }
        }
    }
}
