// Every task of the repository; what they share lies in scripts/cake. `dotnet cake --showdescription` lists them.
var target = Argument("target", "Default");

#load "scripts/cake/tools.cake"
#load "scripts/cake/tally.cake"
#load "scripts/cake/supply.cake"
#load "scripts/cake/build.cake"
#load "scripts/cake/pack.cake"
#load "scripts/cake/test.cake"
#load "scripts/cake/format.cake"
#load "scripts/cake/demo.cake"

Task("Default").Description("The same as Build.").IsDependentOn("Build");

// The closing line comes after Cake's own report, so a reader of the log finds it last.
if (!tally.Wanted(target))
{
    RunTarget(target);
    return;
}
try
{
    RunTarget(target);
}
catch (Exception failure)
{
    tally.Fail(target, failure);
}
Environment.Exit(tally.Close());
