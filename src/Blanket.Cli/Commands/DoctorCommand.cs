using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Cli.Diagnosis;
using Spectre.Console;

namespace Blanket.Cli.Commands;

/// <summary><c>doctor</c>: says whether this machine is fit, what is missing and what would be slow.</summary>
internal static class DoctorCommand
{
    internal static Command Create(Report report)
    {
        Command command = new("doctor", "Check this machine: what is missing, what would be slow. Exit status: 0 fit, 1 something is missing.");
        command.SetAction((_, cancellation) => ExamineAsync(report, cancellation));
        return command;
    }

    private static async Task<int> ExamineAsync(Report report, CancellationToken cancellation)
    {
        List<Finding> findings = [.. await HostExamination.ExamineAsync(cancellation).ConfigureAwait(false)];
        Table table = new Table().Border(TableBorder.None).HideHeaders().AddColumns("grade", "subject", "detail");
        foreach (Finding finding in findings)
        {
            table.AddRow(new Markup(Mark(finding.Grade)), new Text(finding.Subject), new Text(finding.Detail));
        }

        report.Draw(table);
        bool isFit = findings.All(finding => finding.Grade != Grade.Missing);
        report.Line(isFit ? "fit" : "not fit: something is missing");
        return isFit ? ExitStatus.Success : ExitStatus.HostFailure;
    }

    private static string Mark(Grade grade) => grade switch
    {
        Grade.Good => "[green]ok[/]",
        Grade.Slow => "[yellow]slow[/]",
        Grade.Optional => "[yellow]optional[/]",
        _ => "[red]missing[/]",
    };
}
